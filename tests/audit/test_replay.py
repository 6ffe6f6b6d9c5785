"""How a replay ends before it starts anything."""

from pathlib import Path

import polars as pl
import pytest

from audit import replay


def test_an_unreadable_file_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named on standard error, and no service is connected."""
    assert replay.main([str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err


def test_wrong_settings_exit_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every invalid setting is named at once."""
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    monkeypatch.setenv("MOBILITY_WINDOW", "0")
    monkeypatch.setenv("MOBILITY_NONSENSE", "1")
    assert replay.main([str(tmp_path / "x.parquet")]) == 2
    error = capsys.readouterr().err
    assert "MOBILITY_WINDOW" in error
    assert "MOBILITY_NONSENSE" in error
