"""Trip files, opened as the producer does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from producer.formats.options import ReadingOptions
from producer.formats.trip_reader import open_trip_files
from producer.trips_file import TripsFile, open_trips_file


@contextmanager
def opened(*paths: Path, as_is: bool = False) -> Iterator[TripsFile]:
    """Yield the trips of files, ordered by their starts or `as_is`."""
    with (
        open_trip_files(paths, ReadingOptions()) as reader,
        open_trips_file(reader, reader.new_report(), "start", as_is=as_is) as file,
    ):
        yield file
