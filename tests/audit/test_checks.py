"""What is compared, what is pending, and what is a difference whatever the progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from audit.checks import Check, Round
from audit.differences import Kind
from audit.places import Held, Progress, Span, delivered
from audit.sample import KEY, SUMS_SCHEMA, Sample, added, newest
from mobility.entities import BY_NAME, Entity
from mobility.settings import Settings

SETTINGS: Final = Settings()
WINDOW: Final = SETTINGS.window_ms
OVER: Final = WINDOW + SETTINGS.allowed_lateness * 1_000
"""A window that starts at 0 is over once a watermark is past this."""

Row = tuple[str, int, int, int]


def windows(*rows: Row) -> pl.DataFrame:
    """Return windows of drivers: id, window start, generation, trip count."""
    full = [("driver", i, start, generation, n, n, n, n, start) for i, start, generation, n in rows]
    return pl.DataFrame(full, schema=SUMS_SCHEMA, orient="row")


@dataclass
class Fake:
    """A store with these windows."""

    rows: pl.DataFrame
    excused: pl.DataFrame
    name: str = "store"

    def progress(self) -> Progress:
        """Return nothing: the round is told."""
        return {}

    def held(
        self, expected: pl.DataFrame, span: Span, entities: Sequence[Entity], *, everything: bool
    ) -> Held:
        """Return what there is."""
        del expected, entities, everything
        return Held(self.rows.filter(span.windows()), self.excused)


def looked(
    log: pl.DataFrame,
    *,
    topic: pl.DataFrame | None = None,
    store: pl.DataFrame | None = None,
    excused: pl.DataFrame | None = None,
    marks: int | None = 10**9,
    sent: int | None = 10**9,
    lost: int = -1,
) -> tuple[Check, Check]:
    """Return the checks of the topics and of a store; both are right where nothing is said."""
    whole, published = (Sample(None, 1, ["entity"], merge) for merge in (added, newest))
    whole.add(log)
    published.add(log if topic is None else topic)
    place = Fake(log if store is None else store, log.clear() if excused is None else excused)
    look = Round(
        whole,
        published,
        Span(0, 10**9),
        [place],
        [{} if marks is None else {"driver": marks}],
        {} if sent is None else {"driver": sent},
        lost,
        SETTINGS,
    )
    topics, stores = look.checks([BY_NAME["driver"]], everything=True)
    return topics, stores


def outcome(check: Check) -> tuple[int, int, int, dict[Kind, int]]:
    """Return compared, amended, pending, and the differences that there are."""
    counts = {kind: count for kind, count in check.comparison.counts.items() if count}
    return check.comparison.expected, check.amended, check.pending, counts


LOG: Final = windows(("a", 0, 0, 3), ("b", 0, 0, 2), ("a", WINDOW, 0, 1))


def test_what_is_right_is_compared() -> None:
    """Three windows, no difference."""
    assert [outcome(check) for check in looked(LOG)] == [(3, 0, 0, {})] * 2


def test_a_store_is_believed_what_it_claims() -> None:
    """At its mark a window may still be missing; past it that is a difference."""
    behind = LOG.filter(pl.col("window_start") > 0)
    assert outcome(looked(LOG, store=behind, marks=OVER)[1]) == (0, 0, 3, {})
    assert outcome(looked(LOG, store=behind, marks=OVER + 1)[1]) == (2, 0, 1, {"missing": 2})
    assert outcome(looked(LOG, store=behind, marks=None)[1]) == (0, 0, 3, {})


def test_a_store_may_have_forgotten_but_not_be_wrong() -> None:
    """What is excused is neither compared nor pending; an extra window is found."""
    forgotten = LOG.filter(pl.col("id") == "b")
    kept = pl.concat([LOG.join(forgotten, on=KEY, how="anti"), windows(("c", 0, 0, 1))])
    found = looked(LOG, store=kept, excused=forgotten.select(KEY))[1]
    assert outcome(found) == (2, 0, 0, {"extra": 1})


@pytest.mark.parametrize("sent", [None, OVER])
def test_topics_may_be_behind_but_never_ahead(sent: int | None) -> None:
    """Missing and smaller windows are pending until delivery is known; larger ones are wrong."""
    topic = windows(("a", 0, 0, 2), ("a", WINDOW, 0, 9), ("x", 0, 0, 1))
    found = looked(LOG, topic=topic, sent=sent)[0]
    assert outcome(found) == (1, 0, 2, {"different": 1, "extra": 1})
    late = looked(LOG, topic=topic)[0]
    assert outcome(late) == (3, 0, 0, {"missing": 1, "different": 2, "extra": 1})


def test_topics_may_have_lost_their_beginning() -> None:
    """Windows up to there can be missing, later ones can't."""
    found = looked(LOG, topic=LOG.clear(), lost=0)[0]
    assert outcome(found) == (1, 0, 2, {"missing": 1})


def test_a_later_generation_anywhere_is_left_alone_everywhere() -> None:
    """A backfill reaches the places one after the other."""
    topic = pl.concat([LOG, windows(("a", 0, 1, 9), ("new", 0, 1, 1))])
    assert [outcome(check) for check in looked(LOG, topic=topic)] == [(2, 1, 0, {})] * 2


def test_delivery_is_known_once_every_shard_has_spoken(tmp_path: Path) -> None:
    """The lowest of the shards counts, of each the highest that any process said."""
    settings = Settings(status_dir=str(tmp_path), shards=2)
    assert delivered(Settings()) == delivered(settings) == {}
    (tmp_path / "flow-0.json").write_text('{"delivered": {"driver": {"0": 5, "1": 7}, "h3": {}}}')
    (tmp_path / "flow-1.json").write_text('{"delivered": {"driver": {"0": 9}, "h3": {"1": 1}}}')
    (tmp_path / "flow-2.json").write_text("{}")
    assert delivered(settings) == {"driver": 7}
