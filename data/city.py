"""Marouva, a fictitious city: forty locations around a real estuary."""

from dataclasses import dataclass
from typing import Final

import polars as pl


@dataclass(frozen=True, slots=True)
class Location:
    """A location: degrees WGS84, and how often trips start or end there."""

    name: str
    lat: float
    lng: float
    weight: int


LOCATIONS: Final = (
    Location("Cooper's Quay", 38.7071, -9.1363, 46),
    Location("Tilemakers' Square", 38.7102, -9.1401, 44),
    Location("Lantern Steps", 38.7139, -9.1431, 38),
    Location("Central Station", 38.7145, -9.1229, 60),
    Location("Swallow Hill", 38.7122, -9.1301, 24),
    Location("Salt Market", 38.7089, -9.1462, 33),
    Location("Weavers' Row", 38.7118, -9.1495, 30),
    Location("Parliament Garden", 38.7127, -9.1546, 26),
    Location("Observatory Park", 38.7168, -9.1502, 22),
    Location("Great Avenue South", 38.7187, -9.1447, 40),
    Location("Great Avenue North", 38.7248, -9.1495, 42),
    Location("Orange Court", 38.7212, -9.1563, 27),
    Location("University Gate", 38.7521, -9.1578, 36),
    Location("Teaching Hospital", 38.7488, -9.1602, 28),
    Location("Exhibition Grounds", 38.7297, -9.1538, 25),
    Location("Bull Fountain", 38.7421, -9.1457, 29),
    Location("New Avenues", 38.7376, -9.1462, 37),
    Location("Arcade Mall", 38.7549, -9.1888, 31),
    Location("Red Stadium", 38.7527, -9.1847, 16),
    Location("Green Stadium", 38.7612, -9.1608, 14),
    Location("Airport Arrivals", 38.7697, -9.1283, 48),
    Location("Pavilion Island", 38.7681, -9.0942, 34),
    Location("Glass Towers", 38.7633, -9.0979, 32),
    Location("Marina Basin", 38.7752, -9.0913, 17),
    Location("Potters' Field", 38.7392, -9.1044, 15),
    Location("Convent of Reeds", 38.7246, -9.1135, 13),
    Location("Customs House", 38.7174, -9.1196, 12),
    Location("Tram Works", 38.7049, -9.1754, 25),
    Location("Rope Walk", 38.7029, -9.1785, 20),
    Location("Navigator's Tower", 38.6968, -9.2052, 23),
    Location("Palace Meadow", 38.7081, -9.1989, 11),
    Location("Pine Heights", 38.7287, -9.1842, 10),
    Location("Aqueduct Foot", 38.7263, -9.1668, 14),
    Location("Windmill Estate", 38.7441, -9.1998, 9),
    Location("Riverside Campus", 38.6926, -9.2159, 12),
    Location("Old Racecourse", 38.7153, -9.2131, 6),
    Location("Orchard Suburb", 38.7884, -9.1672, 8),
    Location("Northern Terminal", 38.7922, -9.1731, 9),
    Location("Seaview Casino", 38.6978, -9.4211, 4),
    Location("Film Studios", 38.8036, -9.3817, 3),
)


def locations() -> pl.DataFrame:
    """Return the table of locations: location_id (1 to 40), name, lat, lng."""
    return pl.DataFrame(
        [
            (number, location.name, location.lat, location.lng)
            for number, location in enumerate(LOCATIONS, start=1)
        ],
        schema={
            "location_id": pl.Int32,
            "name": pl.String,
            "lat": pl.Float64,
            "lng": pl.Float64,
        },
        orient="row",
    )
