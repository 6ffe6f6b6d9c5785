"""The chart of the throughput table."""

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.results import Record

_OURS: Final = "#1f6f8b"
_CEILING: Final = "#b8c4c9"
_PEER: Final = "#d98c5f"
_CEILINGS: Final = ("consume", "consume-and-decode")


def draw(section: Record, path: Path) -> None:
    """Draw the rates of a section as bars on a logarithmic axis, with the rate of each run."""
    measured = sorted(section["measured"], key=lambda each: float(each["rate"]))
    figure = Figure(figsize=(9, 0.55 * len(measured) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    names = [each["system"] for each in measured]
    rates = [float(each["rate"]) for each in measured]
    axes.barh(names, rates, color=[_colour(name) for name in names], height=0.65)
    for index, each in enumerate(measured):
        axes.plot(each["rates"], [index] * len(each["rates"]), "|", color="black", markersize=9)
        highest = max(each["rates"])
        axes.text(highest * 1.12, index, f"{each['rate']:,.0f}", va="center", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 2, max(rates) * 4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.0f}"))
    axes.set_xlabel("trips per second, median (bar) and each run (ticks); logarithmic")
    axes.set_title("Five-minute windows from Kafka, on one machine with the broker")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _colour(system: str) -> str:
    if system.startswith("mobility-hub"):
        return _OURS
    return _CEILING if system in _CEILINGS else _PEER
