"""A part of the results: what was measured, and whether a target was met."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Measured


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its bound, which is the least it should be, or the most."""

    what: str
    figure: float
    bound: float
    most: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps to its bound."""
        return self.figure <= self.bound if self.most else self.figure >= self.bound


@dataclass(frozen=True, slots=True)
class Section:
    """One subject: a sentence on what was done, systems or a table of its own, and targets."""

    name: str
    title: str
    text: str
    measured: tuple[Measured, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    targets: tuple[Target, ...] = ()


def ratio(measured: Sequence[Measured], system: str, other: str) -> float | None:
    """Return how many times faster a system is than another; None where one is missing."""
    rates = {each.system: each.rate for each in measured}
    return rates[system] / rates[other] if {system, other} <= set(rates) else None
