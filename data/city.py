"""Marouva, a city that is on no map: forty places around a real estuary."""

from dataclasses import dataclass
from typing import Final

import polars as pl


@dataclass(frozen=True, slots=True)
class Place:
    """A location: degrees WGS84, and how often trips start or end there."""

    name: str
    lat: float
    lng: float
    weight: int


PLACES: Final = (
    Place("Cooper's Quay", 38.7071, -9.1363, 46),
    Place("Tilemakers' Square", 38.7102, -9.1401, 44),
    Place("Lantern Steps", 38.7139, -9.1431, 38),
    Place("Central Station", 38.7145, -9.1229, 60),
    Place("Swallow Hill", 38.7122, -9.1301, 24),
    Place("Salt Market", 38.7089, -9.1462, 33),
    Place("Weavers' Row", 38.7118, -9.1495, 30),
    Place("Parliament Garden", 38.7127, -9.1546, 26),
    Place("Observatory Park", 38.7168, -9.1502, 22),
    Place("Great Avenue South", 38.7187, -9.1447, 40),
    Place("Great Avenue North", 38.7248, -9.1495, 42),
    Place("Orange Court", 38.7212, -9.1563, 27),
    Place("University Gate", 38.7521, -9.1578, 36),
    Place("Teaching Hospital", 38.7488, -9.1602, 28),
    Place("Exhibition Grounds", 38.7297, -9.1538, 25),
    Place("Bull Fountain", 38.7421, -9.1457, 29),
    Place("New Avenues", 38.7376, -9.1462, 37),
    Place("Arcade Mall", 38.7549, -9.1888, 31),
    Place("Red Stadium", 38.7527, -9.1847, 16),
    Place("Green Stadium", 38.7612, -9.1608, 14),
    Place("Airport Arrivals", 38.7697, -9.1283, 48),
    Place("Pavilion Island", 38.7681, -9.0942, 34),
    Place("Glass Towers", 38.7633, -9.0979, 32),
    Place("Marina Basin", 38.7752, -9.0913, 17),
    Place("Potters' Field", 38.7392, -9.1044, 15),
    Place("Convent of Reeds", 38.7246, -9.1135, 13),
    Place("Customs House", 38.7174, -9.1196, 12),
    Place("Tram Works", 38.7049, -9.1754, 25),
    Place("Rope Walk", 38.7029, -9.1785, 20),
    Place("Navigator's Tower", 38.6968, -9.2052, 23),
    Place("Palace Meadow", 38.7081, -9.1989, 11),
    Place("Pine Heights", 38.7287, -9.1842, 10),
    Place("Aqueduct Foot", 38.7263, -9.1668, 14),
    Place("Windmill Estate", 38.7441, -9.1998, 9),
    Place("Riverside Campus", 38.6926, -9.2159, 12),
    Place("Old Racecourse", 38.7153, -9.2131, 6),
    Place("Orchard Suburb", 38.7884, -9.1672, 8),
    Place("Northern Terminal", 38.7922, -9.1731, 9),
    Place("Seaview Casino", 38.6978, -9.4211, 4),
    Place("Film Studios", 38.8036, -9.3817, 3),
)


def locations() -> pl.DataFrame:
    """Return the table of locations: location_id (1 to 40), name, lat, lng."""
    return pl.DataFrame(
        [
            (number, place.name, place.lat, place.lng)
            for number, place in enumerate(PLACES, start=1)
        ],
        schema={
            "location_id": pl.Int32,
            "name": pl.String,
            "lat": pl.Float64,
            "lng": pl.Float64,
        },
        orient="row",
    )
