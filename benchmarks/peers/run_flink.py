"""Flink SQL in one JVM: JSON from Kafka, a window TVF per entity, all in one statement set."""

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

from peer_options import ENTITIES, parse_options
from pyflink.table import EnvironmentSettings, TableEnvironment

Variant = dict[str, Any]

PARALLELISM = "2"

# As in its documentation: text in, a computed column for the time, connector defaults.
DOCUMENTED: Variant = {
    "time": """start_time STRING,
  ts AS TO_TIMESTAMP(REPLACE(REPLACE(start_time, 'T', ' '), 'Z', ''))""",
    "source": {},
    "sink": {},
}
# The JSON format parses the time; larger fetches in, larger and compressed batches out.
TUNED: Variant = {
    "time": "start_time TIMESTAMP_LTZ(3),\n  ts AS start_time",
    "source": {
        "json.timestamp-format.standard": "ISO-8601",
        "properties.fetch.min.bytes": "262144",
        "properties.fetch.max.bytes": "67108864",
        "properties.max.partition.fetch.bytes": "8388608",
        "properties.max.poll.records": "10000",
        "properties.receive.buffer.bytes": "1048576",
    },
    "sink": {
        "json.timestamp-format.standard": "ISO-8601",
        "properties.compression.type": "lz4",
        "properties.linger.ms": "20",
        "properties.batch.size": "1048576",
        "properties.buffer.memory": "134217728",
    },
}


def table(name: str, columns: str, options: dict[str, str]) -> str:
    """Return the statement that declares a table on Kafka."""
    given = ",\n  ".join(f"'{key}' = '{value}'" for key, value in options.items())
    return f"CREATE TABLE {name} (\n  {columns}\n) WITH (\n  {given}\n)"


def source(brokers: str, topic: str, variant: Variant) -> str:
    """Return the statement for the topic of trips, read from its beginning to its present end."""
    columns = f"""driver_id STRING,
  passenger_id STRING,
  vehicle_type STRING,
  start_location_id STRING,
  {variant["time"]},
  duration_min DOUBLE,
  distance_km DOUBLE,
  price DOUBLE,
  WATERMARK FOR ts AS ts - INTERVAL '30' SECOND"""
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": brokers,
        "properties.group.id": "flink",
        "scan.startup.mode": "earliest-offset",
        "scan.bounded.mode": "latest-offset",
        "format": "json",
        **variant["source"],
    }
    return table("trips", columns, options)


def sink(brokers: str, topic: str, entity: str, variant: Variant) -> str:
    """Return the statement for an entity's topic of windows."""
    moment = "TIMESTAMP_LTZ(3)" if variant is TUNED else "TIMESTAMP(3)"
    columns = f"""entity_id STRING,
  window_start {moment},
  window_end {moment},
  trip_count BIGINT,
  avg_duration DOUBLE,
  total_duration DOUBLE,
  total_distance DOUBLE,
  total_revenue DOUBLE,
  start_time {moment}"""
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": brokers,
        "key.format": "raw",
        "key.fields": "entity_id",
        "value.format": "json",
        **{
            f"value.{key}" if key.startswith("json.") else key: value
            for key, value in variant["sink"].items()
        },
    }
    return table(f"{entity}_windows", columns, options)


def postgres_sink(entity: str) -> str:
    """Return the statement for the table of all windows, as the sink of an entity: upserts."""
    columns = """entity STRING,
  id STRING,
  window_start TIMESTAMP(3),
  trip_count BIGINT,
  total_duration DOUBLE,
  total_distance DOUBLE,
  total_revenue DOUBLE,
  PRIMARY KEY (entity, id, window_start) NOT ENFORCED"""
    url = urlsplit(os.environ["MOBILITY_POSTGRES"])
    [options] = parse_qs(url.query)["options"]
    schema = options.partition("search_path=")[2]
    given = {
        "connector": "jdbc",
        "url": f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}"
        f"?currentSchema={schema}&reWriteBatchedInserts=true",
        "table-name": "windows",
        "username": url.username or "",
        "password": url.password or "",
        "sink.buffer-flush.max-rows": "10000",
        "sink.buffer-flush.interval": "1s",
    }
    return table(f"{entity}_windows", columns, given)


def postgres_query(entity: str, field: str) -> str:
    """Return the query that fills the table with the windows of an entity."""
    return f"""INSERT INTO {entity}_windows
SELECT '{entity}', {field}, CAST(window_start AS TIMESTAMP(3)), COUNT(*), SUM(duration_min),
  SUM(distance_km), SUM(price)
FROM TABLE(TUMBLE(TABLE trips, DESCRIPTOR(ts), INTERVAL '5' MINUTES))
GROUP BY {field}, window_start, window_end"""  # noqa: S608 - fixed names


def query(entity: str, field: str, variant: Variant) -> str:
    """Return the query that fills an entity's topic."""
    start, end = (
        ("window_start", "window_end")
        if variant is DOCUMENTED
        else tuple(f"CAST(window_{side} AS TIMESTAMP_LTZ(3))" for side in ("start", "end"))
    )
    return f"""INSERT INTO {entity}_windows
SELECT {field}, {start}, {end}, COUNT(*), AVG(duration_min), SUM(duration_min), SUM(distance_km),
  SUM(price), MIN(ts)
FROM TABLE(TUMBLE(TABLE trips, DESCRIPTOR(ts), INTERVAL '5' MINUTES))
GROUP BY {field}, window_start, window_end"""  # noqa: S608 - fixed names


def main() -> None:
    """Run the job to the end of the topic."""
    options = parse_options()
    variant = TUNED if options.tuned else DOCUMENTED
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    config = environment.get_config()
    config.set("pipeline.jars", ";".join(f"file://{jar}" for jar in options.jar))
    config.set("parallelism.default", PARALLELISM)
    config.set("table.local-time-zone", "UTC")
    # A window is sent once, so no two rows of a key are in conflict.
    config.set("table.exec.sink.require-on-conflict", "false")
    if options.tuned:
        config.set("pipeline.object-reuse", "true")
    environment.execute_sql(source(options.brokers, options.source, variant))
    statements = environment.create_statement_set()
    for entity, field in ENTITIES.items():
        if options.jdbc:
            environment.execute_sql(postgres_sink(entity))
            statements.add_insert_sql(postgres_query(entity, field))
            continue
        environment.execute_sql(sink(options.brokers, options.prefix + entity, entity, variant))
        statements.add_insert_sql(query(entity, field, variant))
    statements.execute().wait()


if __name__ == "__main__":
    main()
