"""Which event time completes every window of a file."""

import polars as pl
import pytest

from mobility.settings import Settings
from producer.final_punctuation import FinalPunctuation

MINUTE = 60_000
NOON = 1_735_732_800_000
NOW = NOON + 365 * 86_400_000
DEFAULTS = Settings()


def punctuation(*times: int, now: int = NOW, settings: Settings = DEFAULTS) -> FinalPunctuation:
    """Return the punctuation after trips with these event times."""
    return FinalPunctuation.of(pl.Series(times, dtype=pl.Int64), settings, now)


@pytest.mark.parametrize("latest", [NOON, NOON + 5 * MINUTE - 1])
def test_it_is_just_behind_the_lateness_of_the_last_window(latest: int) -> None:
    """A window is complete once it ended more than the lateness before the watermark."""
    found = punctuation(latest, NOON - MINUTE)
    watermark = found.event_time - 30_000
    assert watermark == NOON + 5 * MINUTE + 10 * MINUTE + 1
    assert found.describe().endswith("every window of the files is complete")


def test_it_follows_from_the_settings() -> None:
    """Length, out-of-orderness bound and allowed lateness are those of the flow."""
    settings = Settings(window=60, out_of_orderness=1, allowed_lateness=2)
    found = punctuation(NOON, settings=settings)
    assert found.event_time == NOON + 60_000 + 1_000 + 2_000 + 1


def test_it_is_never_ahead_of_the_clock() -> None:
    """The flow would make it a dead letter; people are told when the last windows are complete."""
    now = NOON + 3 * MINUTE
    found = punctuation(NOON, now=now)
    assert found.event_time == now
    assert "not complete yet" in found.describe()
    assert "after 2025-01-01T12:15:30.001Z" in found.describe()


def test_trips_in_the_future_have_no_window() -> None:
    """A trip of a wrong clock is a dead letter, and moves nothing."""
    assert punctuation(NOON, NOW + 5 * MINUTE + 1) == punctuation(NOON)
    assert punctuation(NOON, NOW + 5 * MINUTE).event_time == NOW
    assert punctuation(NOW + 6 * MINUTE).event_time == NOW
