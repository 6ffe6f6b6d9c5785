"""What people are told at the end of an import."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backfill.run import Recounted


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many trips the files have, how many came late since it began, and what was recounted."""

    trips: int = 0
    late: int = 0
    recounted: Recounted = field(default_factory=Recounted)

    def lines(self) -> Iterator[str]:
        """Yield the report in lines."""
        if not self.trips:
            yield "nothing is sent: the log has all of these files"
            return
        yield f"{self.trips:,} trips are in the log, each is counted once"
        if self.late:
            yield (
                f"{self.late:,} trips were late: their windows are recounted, "
                f"{self.recounted.windows:,} have changed"
            )
        if self.recounted.refused:
            yield (
                f"{self.recounted.refused:,} windows are older than Redis keeps them, and there is "
                "no Postgres: its totals lack their changes"
            )
