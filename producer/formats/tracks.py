"""Tracks: positions that were recorded one after the other, as JSON text `[[lng, lat], ...]`."""

from typing import Final

import polars as pl

# The mean radius of the Earth (IUGG).
_EARTH_KM: Final = 6_371.008_8

# A track may have hundreds of positions, so those of a whole batch would take much memory.
_TRACKS_PER_PIECE: Final = 10_000


def track_lengths(tracks: pl.Series) -> pl.Series:
    """Return how long tracks are (km): the sum of the lines from each position to the next.

    Null if a track has no position, or one that can't be read.
    """
    pieces = tracks.to_frame("track").iter_slices(_TRACKS_PER_PIECE)
    lengths = [pl.Series(dtype=pl.Float64), *map(_lengths, pieces)]
    return pl.concat(lengths).alias("km")


def _lengths(tracks: pl.DataFrame) -> pl.Series:
    track = pl.col("track").str.replace_all(r"\s", "").str.strip_chars("[]").str.split("],[")
    positions = tracks.select(track).with_row_index("row").explode("track")
    degrees = pl.col("track").str.split_exact(",", 1).struct
    lng, lat = (degrees[at].cast(pl.Float64, strict=False).radians() for at in (0, 1))
    is_first = pl.col("row").ne_missing(pl.col("row").shift())
    is_position = pl.col("lng").is_not_null() & pl.col("lat").is_not_null()
    return (
        positions.select("row", lng=lng, lat=lat)
        .with_columns(km=pl.when(~is_first).then(_line()).when(is_position).then(0.0))
        .group_by("row", maintain_order=True)
        .agg(pl.when(~pl.col("km").has_nulls()).then(pl.col("km").sum()))
    )["km"]


def _line() -> pl.Expr:
    """Return the length (km) of the line from the position before (haversine formula)."""
    lat, lng = pl.col("lat"), pl.col("lng")
    across = lat.cos() * lat.shift().cos() * ((lng - lng.shift()) / 2).sin().pow(2)
    half_chord = (((lat - lat.shift()) / 2).sin().pow(2) + across).sqrt()
    return 2 * _EARTH_KM * half_chord.arcsin()
