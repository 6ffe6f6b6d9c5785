"""The watermarks of all partitions, as one listener has heard them in this run."""

from dataclasses import dataclass, field

from dataflows.items import Heard


@dataclass(slots=True)
class Watermarks:
    """Two minima over the partitions: one for closing windows, one for dropping their state.

    An idle or finished partition holds up no closing, which at worst costs a late pane; it does
    hold up dropping, which would cost numbers.
    """

    heard: dict[int, Heard] = field(default_factory=dict)

    def hear(self, heard: Heard) -> None:
        """Take in what a partition says; what it says last counts."""
        self.heard[heard.partition] = heard

    @property
    def complete(self) -> bool:
        """Whether every partition has spoken in this run: before that nothing is decided."""
        return bool(self.heard) and all(
            set(self.heard) >= set(heard.partitions) for heard in self.heard.values()
        )

    @property
    def caught_up(self) -> bool:
        """Whether no partition is behind the end of its log."""
        return all(heard.status != "behind" for heard in self.heard.values())

    @property
    def closing(self) -> int | None:
        """The minimum over the partitions that speak, in epoch ms; None moves nothing."""
        return _minimum(
            [h.watermark for h in self.heard.values() if h.status in ("behind", "caught_up")]
        )

    @property
    def dropping(self) -> int | None:
        """The minimum over all partitions, in epoch ms; None moves nothing."""
        return _minimum([h.watermark for h in self.heard.values()])


def _minimum(watermarks: list[int | None]) -> int | None:
    known = [watermark for watermark in watermarks if watermark is not None]
    return min(known) if known and len(known) == len(watermarks) else None
