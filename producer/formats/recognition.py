"""Recognises the format of a file by its columns, and plans how its rows are read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from producer.formats.csv_layout import read_layout
from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile
from producer.formats.known_formats import FORMATS
from producer.formats.local_times import check_timezone
from producer.formats.mapping_file import likely_fields, read_mapping, write_mapping
from producer.formats.options import ReadingOptions
from producer.formats.reading_plan import (
    ReadingPlan,
    find_column,
    find_sources,
    has_columns,
    raw_column,
    raw_time,
)
from producer.formats.trip_format import (
    AMOUNTS,
    COORDINATES,
    MINUTES,
    OPTIONAL_AMOUNTS,
    REQUIRED,
    TIMES,
    Column,
    DateAndTime,
    ServiceArea,
    Source,
    Total,
    TripFormat,
    columns_of,
)
from producer.formats.trip_rows import RowReader
from producer.formats.values import (
    as_location,
    as_numbers,
    as_times,
    epoch_unit,
    has_decimal_comma,
    has_value,
)

_NEAR_DEGREES: Final = 1.0
_SHOWN: Final = 3
_MONTHS: Final = 12
_MS_PER_MINUTE: Final = 60_000
_NEAR_SHARE: Final = 0.1
_SLASHED: Final = r"^(?<first>[0-9]{1,2})/(?<second>[0-9]{1,2})/[0-9]"


def recognise(sample: pl.DataFrame) -> TripFormat | None:
    """Return the first known format whose columns are all there, with its values."""
    for each in FORMATS:
        has_names = any(has_columns(names, sample.columns) for names in each.recognised_by)
        if has_names and _has_values(each, sample):
            return each
    return None


def _has_values(of_format: TripFormat, sample: pl.DataFrame) -> bool:
    """Tell whether most values are those of the format, in the columns that are there."""
    for name, form in of_format.values.items():
        if (found := find_column(Column((name,)), sample.columns)) is not None:
            fits = as_location(raw_column(sample, found)).str.contains(form)
            if fits.sum() * 2 < fits.count():
                return False
    return True


def plan_reading(file: InputFile, sample: pl.DataFrame, options: ReadingOptions) -> ReadingPlan:
    """Return how a file is read, given the first of its rows.

    Raises TripsFileError: for a file of no known format with its columns, what they look like, and
    a mapping to edit, which is written to the present folder.
    """
    of_file = _format_of(file, sample, options)
    if options.vehicle_type is not None:
        fields = {name: each for name, each in of_file.fields.items() if name != "vehicle_type"}
        of_file = replace(of_file, fields=fields, vehicle_type=options.vehicle_type)
    sources = find_sources(of_file.fields, sample.columns)
    _check_sources(file, of_file, sources, sample.columns)
    if options.distance_unit is not None:
        of_file = replace(of_file, distance_unit=options.distance_unit)  # type: ignore[arg-type] # one of the choices
    numbers = _sampled_numbers(sample, sources)
    separator = read_layout(file).separator if file.kind == "csv" else ","
    comma = has_decimal_comma([found for found in numbers if _is_text(found)], separator)
    units = _epoch_units(sample, sources)
    timezone, area = _timezone(file, of_file, sample, sources, options)
    plan = ReadingPlan(
        of_file,
        sources,
        timezone,
        units,
        comma,
        area,
        find_column(of_file.incomplete, sample.columns),
        find_column(of_file.currency_code, sample.columns),
        look_alikes=_look_alikes(sources, sample.columns) if of_file.is_passed_on else {},
    )
    if faults := list(_unreadable(file, plan, sample)) or list(_unit_fault(file, plan, sample)):
        raise TripsFileError("\n".join(faults))
    return plan


def _order_fault(of_file: TripFormat, times: pl.Series) -> str | None:
    """Return what is wrong with dates such as 1/7/2025, which are read as month/day/year.

    Months have no number 13. Where no number tells, only dates of known formats are read.
    """
    if times.dtype != pl.String or of_file.time_format is not None:
        return None
    parts = times.str.strip_chars().str.extract_groups(_SLASHED).struct.unnest()
    first, second = (parts[name].cast(pl.Int64) for name in ("first", "second"))
    days_first = times.filter((first > _MONTHS).fill_null(value=False))
    if (second > _MONTHS).any() or first.count() == 0:
        return None
    if not days_first.is_empty():
        return f"has days before months ({days_first[0]}), which are read as month/day/year"
    if of_file.recognised_by:
        return None
    either = times.filter(first.is_not_null())[0]
    return f"has dates that may have the day or the month first ({either})"


def _look_alikes(sources: Mapping[str, Source], columns: Sequence[str]) -> dict[str, str]:
    """Return, by column, the amount that trips lack here, and that its name looks like."""
    return {
        column: near.field
        for column, near in likely_fields(columns).items()
        if near.field in OPTIONAL_AMOUNTS and near.field not in sources
    }


def has_durations(plan: ReadingPlan) -> bool:
    """Tell whether a file has the durations of trips, or their ends, from which they follow."""
    return "duration_min" in plan.sources or "end_time" in plan.sources


def _format_of(file: InputFile, sample: pl.DataFrame, options: ReadingOptions) -> TripFormat:
    if options.columns is not None:
        return read_mapping(options.columns)
    if options.format is not None:
        return next(each for each in FORMATS if each.name == options.format)
    found = recognise(sample)
    if found is None:
        raise TripsFileError(_unknown_format(file, sample.columns))
    return found


def _unknown_format(file: InputFile, columns: Sequence[str]) -> str:
    near = likely_fields(columns)
    lines = [f"{file.name}: no known format has these columns:"]
    for name in columns:
        if name not in near:
            lines.append(f"  {name.strip()}")
        elif near[name].field == near[name].known:
            lines.append(f"  {name.strip()} looks like {near[name].field}")
        else:
            field, known = near[name].field, near[name].known
            lines.append(f"  {name.strip()} looks like {field} ({known} of a known format)")
    fields = {each.field for each in near.values()}
    lacking = [] if "start_time" in fields else ["start_time"]
    lacking += [] if fields & {"duration_min", "end_time"} else ["duration_min or end_time"]
    if lacking:
        lines.append(f"No column looks like {', '.join(lacking)}, which a trip needs.")
    try:
        path = write_mapping(Path.cwd(), file.name, columns)
    except OSError as error:
        lines.append(f"No mapping of columns could be written here ({error}): change to another")
        lines.append("folder and run again, or name a known format with --format.")
    else:
        lines.append(f"Edit the mapping of columns in {path}, then run again with")
        lines.append(f"--columns {path}; or name a known format with --format.")
    return "\n".join(lines)


def _check_sources(
    file: InputFile, of_file: TripFormat, sources: dict[str, Source], columns: Sequence[str]
) -> None:
    """Raise TripsFileError if the file lacks columns that a named format or mapping needs."""
    missing = [] if "start_time" in sources else ["start_time"]
    if not of_file.recognised_by:
        # What a mapping names must be there; what a format names may be lacking in some files.
        missing += [
            name
            for name, source in of_file.fields.items()
            if not has_columns((each.names[0] for each in columns_of(source)), columns)
            and name not in missing
        ]
    if not missing:
        return
    wanted = [
        f"{name} ({', '.join(names)})" if (names := _names(of_file, name)) else name
        for name in missing
    ]
    msg = (
        f"{file.name}: {of_file.name} has no column for {', '.join(wanted)} here. "
        f"The columns of the file: {', '.join(name.strip() for name in columns)}"
    )
    raise TripsFileError(msg)


def _names(of_file: TripFormat, field: str) -> list[str]:
    source = of_file.fields.get(field)
    return [] if source is None else [name for each in columns_of(source) for name in each.names]


def _is_text(found: pl.Series) -> bool:
    return found.dtype == pl.String


def _sampled_numbers(sample: pl.DataFrame, sources: dict[str, Source]) -> list[pl.Series]:
    numeric = (sources[name] for name in (*COORDINATES, *AMOUNTS) if name in sources)
    return [
        raw_column(sample, column)
        for source in numeric
        if isinstance(source, Column | Total)
        for column in columns_of(source)
    ]


def _epoch_units(sample: pl.DataFrame, sources: dict[str, Source]) -> dict[str, str]:
    found = {
        name: epoch_unit(raw_column(sample, source))
        for name in TIMES
        if isinstance(source := sources.get(name), Column)
    }
    return {name: unit for name, unit in found.items() if unit is not None}


def _timezone(
    file: InputFile,
    of_file: TripFormat,
    sample: pl.DataFrame,
    sources: dict[str, Source],
    options: ReadingOptions,
) -> tuple[str, str]:
    """Return the zone of local times, and the area that decided on it."""
    if options.timezone is not None:
        check_timezone(options.timezone)
        return options.timezone, ""
    if of_file.timezone is not None:
        return of_file.timezone, ""
    position = [
        as_numbers(raw_column(sample, source)).median()
        for name in ("start_lat", "start_lng")
        if isinstance(source := sources.get(name), Column)
    ]
    area = _nearest(of_file.areas, position)
    if area is None:
        msg = (
            f"{file.name}: recognised as {of_file.name} ({of_file.title}), but its positions are "
            "of no known system, so its time zone is not known: name it with --timezone"
        )
        raise TripsFileError(msg)
    return area.timezone, area.name


def _nearest(areas: Sequence[ServiceArea], position: Sequence[object]) -> ServiceArea | None:
    match position:
        case [float(lat), float(lng)]:
            return next(
                (
                    area
                    for area in sorted(areas, key=lambda each: _degrees(each, lat, lng))
                    if _degrees(area, lat, lng) <= _NEAR_DEGREES
                ),
                None,
            )
    return None


def _degrees(area: ServiceArea, lat: float, lng: float) -> float:
    return max(abs(area.lat - lat), abs(area.lng - lng))


def _unreadable(file: InputFile, plan: ReadingPlan, sample: pl.DataFrame) -> Iterator[str]:
    """Yield a fault for each column of a time or an amount that has values, none of them readable.

    One that is empty is a fault only if each trip needs it.
    """
    for name in ("start_time", *AMOUNTS):
        source = plan.sources.get(name)
        if isinstance(source, Total):
            source = source.base
        if not isinstance(source, Column | DateAndTime) or name in plan.epoch_units:
            continue
        column = " + ".join(each.names[0] for each in columns_of(source))
        raw = raw_time(sample, source)
        if raw.dtype == pl.Null and name in REQUIRED:
            yield f"{file.name}: column {column} is empty"
            continue
        held = raw.filter(has_value(raw))
        if name in TIMES and (fault := _order_fault(plan.format, held)) is not None:
            yield (
                f"{file.name}: column {column} {fault}: write ISO 8601, or name the form as "
                'time_format in a mapping of columns (--columns), such as "%d/%m/%Y %H:%M"'
            )
        if name in TIMES:
            readable, expected = as_times(held, None, plan.format.time_format)[0], "times"
        else:
            readable, expected = as_numbers(held, decimal_comma=plan.decimal_comma), "numbers"
        if not held.is_empty() and readable.null_count() == held.len():
            shown = ", ".join(str(each) for each in held.unique(maintain_order=True)[:_SHOWN])
            yield f"{file.name}: column {column} has no {expected}: {shown}"


def _unit_fault(file: InputFile, plan: ReadingPlan, sample: pl.DataFrame) -> Iterator[str]:
    """Yield a fault if most durations are those from start to end in another unit."""
    if plan.format.is_passed_on or not {"end_time", "duration_min"} <= set(plan.sources):
        return
    trips = RowReader(plan, refunds=True).read(sample).trips
    elapsed = (trips["end_time"] - trips["start_time"]).dt.total_milliseconds() / _MS_PER_MINUTE
    is_long = (elapsed > 0) & (trips["duration_min"] > 0)
    times_too_long = (trips["duration_min"] / elapsed).filter(is_long).median()
    if not isinstance(times_too_long, float):
        return
    told = MINUTES[plan.format.duration_unit] / times_too_long
    for unit, minutes in MINUTES.items():
        if unit != plan.format.duration_unit and abs(told / minutes - 1) < _NEAR_SHARE:
            (column,) = columns_of(plan.sources["duration_min"])
            yield (
                f"{file.name}: durations in column {column.names[0]} are read in "
                f"{plan.format.duration_unit}, but starts and ends say that they are in {unit}: "
                f'name duration_unit = "{unit}" in a mapping of columns (--columns)'
            )
