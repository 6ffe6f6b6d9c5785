"""A section of the results: what was measured, and whether targets were met.

Names of fields are those of `results.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Measurement


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its bound: the least that it should be, or with `most` the most."""

    what: str
    figure: float
    bound: float
    most: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.figure <= self.bound if self.most else self.figure >= self.bound


@dataclass(frozen=True, slots=True)
class Section:
    """One subject: a description, measured systems or a table, and targets."""

    name: str
    title: str
    text: str
    measured: tuple[Measurement, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    targets: tuple[Target, ...] = ()


def ratio(measured: Sequence[Measurement], system: str, other: str) -> float | None:
    """Return the ratio of the rates of two systems; None if one is missing."""
    rates = {each.system: each.rate for each in measured}
    return rates[system] / rates[other] if {system, other} <= set(rates) else None
