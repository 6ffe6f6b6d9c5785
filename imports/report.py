"""What people are told at the end of an import."""

from collections.abc import Iterator
from dataclasses import dataclass

from backfill.run import Recounted


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the trips that were sent.

    `trips` is how many the files have, `sent` what the producer says of them. `late` and `invalid`
    are those that the flow has read since the import began: beside a live feed, which is `shared`,
    the feed's as well.
    """

    trips: int
    sent: str
    late: int
    invalid: int
    recounted: Recounted
    is_shared: bool

    def lines(self) -> Iterator[str]:
        """Yield the report in lines."""
        yield self.sent
        yield self._became()
        if self.late:
            yield f"windows of late trips that have changed: {self.recounted.windows:,}"
        if self.recounted.refused:
            yield (
                f"{self.recounted.refused:,} windows are older than Redis keeps them, and there is "
                "no Postgres: its totals lack their changes"
            )

    def _became(self) -> str:
        others = f"{self.late:,} late, and recounted + {self.invalid:,} invalid (`just dlq list`)"
        if self.is_shared:
            return f"since the import began, with those of other senders: {others}"
        in_time = self.trips - self.late - self.invalid
        return (
            f"{self.trips:,} trips = {in_time:,} in time + {others}; "
            "a trip_id that is repeated in a window counts once"
        )
