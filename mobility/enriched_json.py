"""Enriched trips as JSON: the fields of enrichment are appended to the original object."""

import polars as pl

from mobility.enrichment import Tables


def enriched_json(
    trips: pl.DataFrame, originals: list[bytes], tables: Tables, topic: str, partition: int
) -> pl.Series:
    """Return one JSON text a trip: its original object with the fields of enrichment at the end.

    `trips` are enriched trips with their `offset` in that partition of the log, `originals` the
    objects that they were decoded from, in the same order. The last field, `log`, is the position
    of the trip in the log, by which a repeat is recognised. A field that the original has too
    occurs twice: JSON readers take the last one.
    """
    texts = pl.Series("original", originals, dtype=pl.Binary).cast(pl.String)
    rows = _with_table_columns(trips, tables).with_columns(
        texts.str.strip_chars().str.strip_suffix("}").str.strip_chars_end()
    )
    further = [pl.col(name) for name in rows.columns if name.endswith("_json")]
    own_type = pl.when("has_own_type").then(pl.lit("{}")).otherwise(_object("vehicle_type"))
    region = pl.when(pl.col("h3_region").is_null()).then(pl.lit("{}"))
    objects = [own_type, region.otherwise(_object("h3_region")), *further]
    # Names of topics have no character that JSON would escape.
    position = pl.lit(f',"log":{{"topic":"{topic}","partition":{partition},"offset":')
    members = pl.concat_str(*map(_members, objects), position, "offset", pl.lit("}"))
    first = pl.col("original") == "{"
    return rows.select(
        pl.concat_str(
            "original",
            pl.when(first).then(members.str.strip_prefix(",")).otherwise(members),
            pl.lit("}"),
        )
    ).to_series()


def _object(name: str) -> pl.Expr:
    return pl.struct(name).struct.json_encode()


def _with_table_columns(trips: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    for table, key, name in (
        (tables.drivers, "driver_id", "driver_json"),
        (tables.passengers, "passenger_id", "passenger_json"),
        (tables.locations, "start_location", "start_location_json"),
    ):
        if table is not None:
            columns = table.select(key, name)
            trips = trips.join(columns, on=key, how="left", maintain_order="left")
    return trips


def _members(json: pl.Expr) -> pl.Expr:
    """Return an object's members with a comma before them, nothing where there are none."""
    inner = json.str.strip_prefix("{").str.strip_suffix("}")
    return (
        pl.when(inner.fill_null("") == "")
        .then(pl.lit(""))
        .otherwise(pl.concat_str(pl.lit(","), inner))
    )
