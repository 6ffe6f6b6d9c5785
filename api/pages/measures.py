"""`/assets/measures.js`: names and units of the measures, as a module that the scripts import."""

import json
from typing import Final

from litestar import Response, get

from mobility.measures import EXTREMES, MEASURES, SUMS, Unit

_UNITS: Final[dict[Unit, str]] = {
    "trips": "trips",
    "minutes": "minutes",
    "kilometres": "km",
    "currency": "in the currency of the trips",
    "time": "time",
}

_COUNTS: Final = {each.input: each.name for each in MEASURES if each.kind == "count"}
"""By column of the trips: the number of trips that have it."""


def measures_module() -> str:
    """Return the module: MEASURES, by name, with their means, and names of SUMS and EXTREMES.

    `count` of a measure is the name of the number of trips that it is computed of.
    """
    measures: dict[str, dict[str, str]] = {}
    for each in MEASURES:
        unit = _UNITS[each.unit]
        count = _COUNTS.get(each.input, "trip_count")
        measures[each.name] = {"name": each.label, "unit": unit, "count": count}
        if each.mean is not None:
            label = f"{each.label} per trip"
            measures[each.mean] = {
                "name": label,
                "unit": f"{unit}, mean",
                "count": count,
                "of": each.name,
            }
    exported = {"MEASURES": measures, "SUMS": SUMS, "EXTREMES": EXTREMES}
    return "".join(
        f"export const {name} = {json.dumps(value, ensure_ascii=False)};\n"
        for name, value in exported.items()
    )


@get("/assets/measures.js", include_in_schema=False, sync_to_thread=False)
def measures_script() -> Response[str]:
    """Return the module."""
    return Response(
        measures_module(), media_type="text/javascript", headers={"cache-control": "no-cache"}
    )
