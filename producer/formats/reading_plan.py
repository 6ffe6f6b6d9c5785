"""How the rows of one file are read: its format, with the columns that the file has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from producer.formats.trip_format import (
    Column,
    DateAndTime,
    Points,
    Source,
    Total,
    Track,
    TripFormat,
    columns_of,
    normal_name,
)
from producer.formats.values import joined


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """The format of a file and, by field of a trip, the source with the names of this file.

    `epoch_units`: of times that are numbers, by field. `area`: whose files these are, where
    positions decided on the time zone. `incomplete`, `currency_code`: as in the format. `late`:
    fields that the first rows do not have. `look_alikes`: by column that is not read, the field
    that the file lacks and that its name looks like.
    """

    format: TripFormat
    sources: Mapping[str, Source]
    timezone: str
    epoch_units: Mapping[str, str]
    decimal_comma: bool = False
    area: str = ""
    incomplete: Column | None = None
    currency_code: Column | None = None
    late: frozenset[str] = frozenset()
    look_alikes: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are read, each once."""
        each = [column for source in self.sources.values() for column in columns_of(source)]
        each += [found for found in (self.incomplete, self.currency_code) if found is not None]
        return list(dict.fromkeys(name for column in each for name in column.names))

    def lines(self) -> Iterator[str]:
        """Yield what people read of it: how the file is read, and what they should look at."""
        yield self._describe()
        for column, lacking in self.look_alikes.items():
            yield (
                f"look at this: column {column} looks like {lacking}, and is not read as that: "
                "rename it, or name it in a mapping of columns (--columns)"
            )

    def _describe(self) -> str:
        """Return in one line which format it is, how columns are mapped, units and time zone."""
        of_format = self.format
        sources = {name: each for name, each in self.sources.items() if name not in self.late}
        fields = ", ".join(_describe(name, source) for name, source in sources.items())
        units = [
            f"distance in {of_format.distance_unit}" if "distance_km" in sources else "no distance",
            f"duration in {of_format.duration_unit}"
            if "duration_min" in sources
            else "duration from start to end",
        ]
        if "price" not in sources:
            units.append("no price")
        elif of_format.currency or of_format.minor_currency_units:
            minor = "minor units of the currency" if of_format.minor_currency_units else ""
            units.append(f"price in {of_format.currency or minor}")
        units += [f"{name} in epoch {unit}" for name, unit in self.epoch_units.items()]
        if self.decimal_comma:
            units.append("numbers with a decimal comma")
        zone = f"times of {self.timezone}" + (f" ({self.area})" if self.area else "")
        kind = f"; vehicle_type is {of_format.vehicle_type}" if of_format.vehicle_type else ""
        return (
            f"{of_format.name} ({of_format.title}): {fields}{kind}; {', '.join(units)}; {zone}; "
            f"{of_format.ids}"
        )


def find_sources(fields: Mapping[str, Source], columns: Iterable[str]) -> dict[str, Source]:
    """Return the sources that a file has, with the names of its columns."""
    by_name = _by_normal_name(columns)
    found = ((field, _find(source, by_name)) for field, source in fields.items())
    return {field: source for field, source in found if source is not None}


def find_column(column: Column | None, columns: Iterable[str]) -> Column | None:
    """Return a column with its name in a file, None if it has none."""
    return None if column is None else _find_column(column, _by_normal_name(columns))


def has_columns(names: Iterable[str], columns: Sequence[str]) -> bool:
    """Tell whether all these columns are there, in any spelling."""
    return {normal_name(name) for name in names} <= {normal_name(name) for name in columns}


def raw_column(rows: pl.DataFrame, column: Column) -> pl.Series:
    """Return a column of the file's rows; what a JSONPath finds in it is text.

    Of several names, the first that has a value in a row counts there.
    """
    found = rows[column.names[0]]
    for name in column.names[1:]:
        found = found.zip_with(found.is_not_null(), rows[name])
    if not column.path:
        return found
    if isinstance(found.dtype, pl.Struct):
        found = found.struct.json_encode()
    return found.str.json_path_match(column.path)


def raw_time(rows: pl.DataFrame, source: Source) -> pl.Series:
    """Return times of the file's rows as they are there."""
    if isinstance(source, DateAndTime):
        return joined(raw_column(rows, source.date), raw_column(rows, source.time))
    found = raw_column(rows, columns_of(source)[0])
    return found.cast(pl.String) if found.dtype in (pl.Categorical, pl.Enum) else found


def _by_normal_name(columns: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in columns:
        found.setdefault(normal_name(name), name)
    return found


def _find(source: Source, by_name: Mapping[str, str]) -> Source | None:
    match source:
        case Column():
            return _find_column(source, by_name)
        case DateAndTime(date, time):
            found_date, found_time = _find_column(date, by_name), _find_column(time, by_name)
            if found_date is None or found_time is None:
                return None
            return DateAndTime(found_date, found_time)
        case Total(base, parts):
            found = _find_column(base, by_name)
            others = (_find_column(part, by_name) for part in parts)
            return found and Total(found, tuple(part for part in others if part is not None))
        case Points(column, seconds):
            found = _find_column(column, by_name)
            return found and Points(found, seconds)
        case Track(column):
            found = _find_column(column, by_name)
            return found and Track(found)


def _find_column(column: Column, by_name: Mapping[str, str]) -> Column | None:
    for name in column.names:
        if (found := by_name.get(normal_name(name))) is not None:
            return replace(column, names=(found,))
    return None


def _describe(field: str, source: Source) -> str:
    match source:
        case Column(names, path):
            given = f"{names[0].strip()} {path}".strip()
            return field if given == field else f"{field} = {given}"
        case Points(column, seconds):
            return f"{field} = {seconds} s a step of {column.names[0].strip()}"
        case Track(column):
            return f"{field} = length of {column.names[0].strip()}"
        case DateAndTime() | Total():
            return f"{field} = {' + '.join(each.names[0].strip() for each in columns_of(source))}"
