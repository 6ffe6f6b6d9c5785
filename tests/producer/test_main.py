"""Errors before the first message."""

from pathlib import Path

import polars as pl
import pytest

from producer.__main__ import main
from tests.producer.formats.reading import write_csv
from tests.producer.formats.test_known_formats import CASES


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


def test_what_trips_lack_is_said_before_and_after_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, in the preview and in the report."""
    monkeypatch.setattr("producer.__main__._send", lambda *_: "2 trips sent")
    bikes = write_csv(tmp_path / "bikes.csv", *CASES["bikeshare"][:2])
    taxis = write_csv(tmp_path / "taxis.csv", *CASES["nyc-yellow"][:2])
    assert main([str(bikes), str(taxis)]) == 0
    printed = capsys.readouterr()
    lines = [
        "2 rows read = 2 trips + 0 left out",
        "trips without a distance: 1; without a price: 1",
    ]
    assert printed.err.splitlines()[2:4] == lines
    assert printed.out.splitlines() == ["2 trips sent", *lines]


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
