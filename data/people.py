"""The tables of drivers and passengers."""

from datetime import date
from typing import Final

import polars as pl

from data.city import LOCATIONS
from data.random_columns import RandomColumns

VEHICLE_TYPES: Final = ("car", "scooter", "bike")
_VEHICLE_SHARES: Final = (11, 5, 4)

_PLANS: Final = ("basic", "plus", "business")
_PLAN_SHARES: Final = (14, 5, 1)
_LANGUAGES: Final = ("pt", "en", "es", "fr", "de")
_LANGUAGE_SHARES: Final = (12, 4, 2, 1, 1)

_FIRST_SIGN_UP: Final = date(2019, 3, 1)
_LAST_SIGN_UP: Final = date(2025, 5, 31)


def drivers(seed: int, rows: int) -> pl.DataFrame:
    """Return driver_id, vehicle_type, sign_up_date and home_location (a location_id)."""
    columns = RandomColumns(seed, rows)
    days = (_LAST_SIGN_UP - _FIRST_SIGN_UP).days + 1
    return pl.DataFrame(
        {
            "driver_id": _ids("d", rows),
            "vehicle_type": _choose(
                columns, "drivers/vehicle_type", VEHICLE_TYPES, _VEHICLE_SHARES
            ),
            "sign_up_date": (
                columns.index("drivers/sign_up_date", days) + _epoch_day(_FIRST_SIGN_UP)
            ).cast(pl.Date),
            "home_location": (columns.index("drivers/home_location", len(LOCATIONS)) + 1).cast(
                pl.Int32
            ),
        }
    )


def passengers(seed: int, rows: int) -> pl.DataFrame:
    """Return passenger_id, plan and language."""
    columns = RandomColumns(seed, rows)
    return pl.DataFrame(
        {
            "passenger_id": _ids("p", rows),
            "plan": _choose(columns, "passengers/plan", _PLANS, _PLAN_SHARES),
            "language": _choose(columns, "passengers/language", _LANGUAGES, _LANGUAGE_SHARES),
        }
    )


def _ids(letter: str, rows: int) -> pl.Series:
    return letter + pl.int_range(1, rows + 1, eager=True).cast(pl.String).str.zfill(6)


def _choose(
    columns: RandomColumns, name: str, values: tuple[str, ...], shares: tuple[int, ...]
) -> pl.Series:
    return pl.Series(values).gather(columns.weighted(name, shares))


def _epoch_day(day: date) -> int:
    return (day - date(1970, 1, 1)).days
