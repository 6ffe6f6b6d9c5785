"""Errors before the first message."""

from pathlib import Path

import polars as pl
import pytest

from producer.__main__ import main


def test_values_that_are_no_numbers_exit_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, column and values are named, all errors at once, before Kafka is connected."""
    path = tmp_path / "city.parquet"
    trip = {"start_time": ["2025-06-02"], "duration_min": [True], "distance_km": [1.0]}
    pl.DataFrame({**trip, "price": ["4 Taler"]}).write_parquet(path)
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: column duration_min has no numbers: True",
        f"{path}: column price has no numbers: 4 Taler",
    ]


def test_invalid_settings_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every error in the environment is reported."""
    monkeypatch.setenv("MOBILITY_KAFKA", "nowhere")
    monkeypatch.setenv("MOBILITY_NONSENSE", "1")
    assert main(["trips.parquet"]) == 2
    printed = capsys.readouterr().err
    assert "MOBILITY_KAFKA=nowhere" in printed
    assert "MOBILITY_NONSENSE: no such setting" in printed


def test_a_log_of_another_format_is_not_filled_with_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each trip would be a dead letter; nothing is read or sent."""
    monkeypatch.setenv("MOBILITY_VALUE", "debezium")
    assert main(["trips.parquet"]) == 2
    printed = capsys.readouterr().err
    assert "MOBILITY_VALUE=debezium: the producer writes plain JSON" in printed
    assert "MOBILITY_TOPIC_PREFIX" in printed
