"""The dataflow's ingest and the oracle, implemented independently, agree on every log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka import Message as KafkaMessage
from hypothesis import given
from hypothesis import strategies as st

from audit import oracle
from audit.oracle import OracleResult, run_oracle, validate_log
from audit.validation import LogMessage, validate_messages
from broker.value_format import value_format
from dataflows.ingest import PartitionIngest
from dataflows.items import IngestedBatch
from mobility.enrichment import enrich
from mobility.entities import ENTITIES
from mobility.measures import STARTS, SUMS
from mobility.records import MICRO, RulesVersion
from mobility.settings import Settings
from mobility.trips import decode_trips
from mobility.validation import TripRules
from mobility.value_settings import Value
from mobility.values import FORMATS, ValueFormat
from runtime.tables import configured_tables, read_new_tables, read_tables
from tests.dataflows.doubles import ingest
from tests.envelopes import wraps
from tests.frames import fill, odd_frames, trip_frames
from tests.registry import Registry, running_registry
from tests.strategies import MINUTE, NOON, batches, good_messages, messages

APPENDED: Final = NOON + 500 * MINUTE

LAYOUTS: Final = (
    Settings(),
    Settings(event_time="end", refunds=True, out_of_orderness=0),
    Settings(region="location", window=7, allowed_lateness=0, max_message_bytes=150),
)

UNTIMED: Final = Settings(future_tolerance=10**12)
"""No trip is in the future, on which the decoding of a message has no say."""

punctuations = st.sampled_from(
    (b"-5", b"", b"x", b"1.5", *(str(NOON + n * MINUTE).encode() for n in (-600, 0, 200, 504, 506)))
)

records = (
    st.tuples(messages, st.none())
    | st.tuples(good_messages, st.none())
    | st.tuples(st.none(), punctuations)
)
"""Values with their `watermark` header, if any."""

Record = tuple[int, bytes | None, bytes | None]


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "location"])
@given(data=st.data())
def test_ingest_and_oracle_agree(settings: Settings, data: st.DataObject) -> None:
    """Outcomes, reasons and sums are the same for any batches."""
    drawn = data.draw(st.lists(records, max_size=40))
    log: list[Record] = [(offset, *record) for offset, record in enumerate(drawn)]
    reader = PartitionIngest(0, settings)
    tables = read_tables(configured_tables(settings), settings)
    taken = [
        ingest(reader, [_to_kafka(record) for record in batch], "behind", (0,), tables)
        for batch in data.draw(batches(log))
    ]
    expected = run_oracle(
        validate_log([[_to_oracle(record) for record in log]], settings), settings
    )
    assert _positions(taken) == _expected_positions(expected)
    counts = reader.counts
    assert (counts.counted, counts.duplicates, counts.punctuations) == (
        expected.count("counted"),
        expected.count("duplicate"),
        expected.count("punctuation"),
    )
    assert _sums(taken) == {
        tuple(row)
        for row in expected.windows.select(
            "entity", "id", "window_start", *SUMS, *STARTS
        ).iter_rows()
    }


@given(st.lists(messages, max_size=20), st.sampled_from((1, 2, 3)))
def test_each_version_of_the_rules_is_the_same_in_both(
    values: list[bytes | None], version: RulesVersion
) -> None:
    """Reasons and times of old logs as of new ones."""
    decoded = decode_trips(values, TripRules(version=version))
    validated = validate_messages(
        [_to_oracle((n, v, None)) for n, v in enumerate(values)], UNTIMED, version
    )
    rejected = validated.with_row_index("row").drop_nulls("reason")
    assert decoded.rejected.select("row", "error").rows() == rejected.select("row", "reason").rows()
    starts = validated.filter(pl.col("reason").is_null())["start_time"]
    assert decoded.trips["start_time"].to_list() == starts.to_list()


@pytest.mark.parametrize("name", ["connect-json", "debezium"])
@given(st.lists(st.builds(lambda wrap, value: wrap(value or b""), wraps, messages), max_size=20))
def test_the_trip_in_an_envelope_is_the_same_in_both(name: Value, values: list[bytes]) -> None:
    """Reasons and fields, of envelopes of the right kind, of another and of none."""
    settings = msgspec.structs.replace(UNTIMED, value=name)
    _assert_same(values, settings, FORMATS[name])


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """Return a registry with the schemas of tests.frames."""
    with running_registry() as served:
        fill(served.contents)
        yield served


@given(values=st.lists(trip_frames | odd_frames | trip_frames, max_size=20))
def test_the_trip_in_a_frame_is_the_same_in_both(registry: Registry, values: list[bytes]) -> None:
    """Reasons and fields, of logical types of all kinds, bytes of no schema and odd schemas."""
    settings = msgspec.structs.replace(
        UNTIMED, value="avro", schema_registry=registry.url, max_message_bytes=400
    )
    _assert_same(values, settings, value_format(settings))


def _assert_same(values: list[bytes], settings: Settings, form: ValueFormat) -> None:
    """Assert that the flow's decoder and the oracle find the same trips and reasons."""
    decoded = decode_trips(values, TripRules.of(settings), form)
    validated = validate_messages(
        [_to_oracle((n, v, None)) for n, v in enumerate(values)], settings
    )
    rejected = validated.with_row_index("row").drop_nulls("reason")
    assert decoded.rejected.select("row", "error").rows() == rejected.select("row", "reason").rows()
    valid = validated.filter(pl.col("reason").is_null())
    for ours, theirs in (
        ("trip_id", "trip_id"),
        ("start_location", "start_location_id"),
        ("start_lat", "start_lat"),
        ("start_time", "start_time"),
    ):
        assert decoded.trips[ours].to_list() == valid[theirs].to_list()
    amounts = [None if price is None else round(price * MICRO) for price in valid["price"]]
    assert decoded.trips["revenue"].to_list() == amounts


_KINDS: Final[dict[str, pl.DataType]] = {
    "doubles": pl.Float64(),
    "floats of 32 bits": pl.Float32(),
    "integers": pl.Int16(),
    "decimals": pl.Decimal(20, 3),
    "text": pl.String(),
    "categories": pl.Categorical(),
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("ids", ["integers", "text", "categories"])
def test_tables_are_joined_alike(tmp_path: Path, kind: str, ids: str) -> None:
    """Whatever types their columns have; locations of null and NaN are no places in both."""
    table = pl.DataFrame({"id": [1, 2, 3, 2, None], "lat": [38, None, 39, 40, 41], "lng": -9})
    table = table.with_columns(pl.col("id").cast(pl.String)) if ids != "integers" else table
    table = table.with_columns(pl.col("id").cast(_KINDS[ids]))
    degrees = table.select("lat", "lng").cast(pl.String).cast(_KINDS[kind])
    if kind == "doubles":
        degrees = degrees.with_columns(pl.col("lat").fill_null(float("nan")))
    # A folder whose name is a pattern for files.
    folder = tmp_path / "t[1]"
    folder.mkdir()
    files = {"drivers": folder / "d.parquet", "locations": folder / "l.parquet"}
    places = pl.DataFrame([table["id"].alias("location_id"), degrees["lat"], degrees["lng"]])
    places.write_parquet(files["locations"])
    types = pl.Series("vehicle_type", [10, 20, None, 30, 40])
    types = types if ids == "integers" else types.cast(pl.String).cast(_KINDS[ids])
    pl.DataFrame([table["id"].alias("driver_id"), types]).write_parquet(files["drivers"])
    settings = Settings(drivers=str(files["drivers"]), locations=str(files["locations"]))
    trips = pl.DataFrame(
        {
            "driver_id": ["1", "2", "3", "4", None],
            "vehicle_type": [None, "car", None, None, None],
            "start_location": ["3", "2", "1", "4", None],
            "start_lat": [None, None, 1.0, None, None],
            "start_lng": [None, 2.0, 2.0, None, None],
        },
        schema_overrides={"start_lat": pl.Float64, "start_lng": pl.Float64},
    )
    ours = enrich(trips, read_new_tables(files, settings), settings)
    named = trips.rename({"start_location": "start_location_id"})
    theirs = oracle.enrich(named, settings, files)
    joined = ["vehicle_type", "h3_region"]
    assert ours.select(joined).rows() == theirs.select(joined).rows()
    assert ours["h3_region"].to_list()[1] == "2"
    assert ours["h3_region"].str.len_chars().to_list()[0] > 10


def _to_oracle(record: Record) -> LogMessage:
    offset, value, watermark = record
    headers = () if watermark is None else (("watermark", watermark),)
    return LogMessage(0, offset, APPENDED, value, headers)


def _to_kafka(record: Record) -> KafkaMessage:
    offset, value, watermark = record
    return KafkaMessage(
        topic="trips_stream",
        partition=0,
        offset=offset,
        value=value,
        headers=None if watermark is None else [("watermark", watermark)],
        timestamp=(TIMESTAMP_LOG_APPEND_TIME, APPENDED),
    )


def _positions(taken: list[IngestedBatch]) -> set[tuple[int, str | None]]:
    """Return offset and reason of dead letters, offset and None of late trips."""
    late = {(offset, None) for each in taken for offset in each.late.offsets}
    pairs = (zip(each.dead.offsets, each.dead.reasons, strict=True) for each in taken)
    return late | {pair for each in pairs for pair in each}


def _expected_positions(expected: OracleResult) -> set[tuple[int, str | None]]:
    rows = expected.messages.filter(pl.col("outcome").is_in(["late", "dead"]))
    return set(rows.select("offset", "reason").iter_rows())


def _sums(taken: list[IngestedBatch]) -> set[tuple[Any, ...]]:
    """Return the sums of the trips that ingest counted, by entity, id and window."""
    counted = pl.concat([each.trips for each in taken]) if taken else pl.DataFrame()
    return {
        (entity.name, *row)
        for entity in ENTITIES
        if counted.height
        for row in counted.drop_nulls(entity.id_column)
        .group_by(entity.id_column, "window_start")
        .agg(
            pl.len(),
            pl.col("duration", "distance", "revenue").sum(),
            pl.col("distance", "revenue").count().name.suffix("_count"),
            pl.col("start_time").min(),
            pl.col("start_time").max().alias("last_start_time"),
        )
        .iter_rows()
    }
