"""The output of `list`: a table of rejected messages with a summary, or lines of JSON."""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from corrections.json_lines import to_json_line
from corrections.rejected_topic import ListedMessage
from mobility.printable import printable
from mobility.rejected_messages import RejectedKind
from mobility.times import iso_time
from mobility.values import ValueFormat


@dataclass(slots=True)
class ListSummary:
    """Counts of messages and of replayed messages by reason, and of those that can be shown."""

    messages: Counter[str] = field(default_factory=Counter)
    replayed: Counter[str] = field(default_factory=Counter)
    shown: int = 0

    def count_all(self, messages: Iterable[ListedMessage]) -> Iterator[ListedMessage]:
        """Yield all messages, and count them by reason."""
        for each in messages:
            reason = each.message.reason or "late"
            self.messages[reason] += 1
            self.replayed[reason] += each.replayed is not None
            yield each

    def count_shown(self, messages: Iterable[ListedMessage]) -> Iterator[ListedMessage]:
        """Yield the messages that can be shown, and count them."""
        for each in messages:
            self.shown += 1
            yield each


def newest(messages: Iterable[ListedMessage], limit: int) -> list[ListedMessage]:
    """Return the newest `limit` messages, oldest first; no more than that are kept in memory."""
    return sorted(heapq.nlargest(limit, messages, key=_age), key=_age)


def print_json_lines(messages: Iterable[ListedMessage], form: ValueFormat | None) -> int:
    """Print messages as lines of JSON, with the `form` of values those too; return their number."""
    count = 0
    for count, each in enumerate(messages, 1):  # noqa: B007 - the last number is returned
        sys.stdout.write(f"{to_json_line(each, form)}\n")
    return count


def print_table(
    console: Console, kind: RejectedKind, messages: list[ListedMessage], summary: ListSummary
) -> None:
    """Print a table of messages, and the summary of all that were found."""
    console.print(_message_table(kind, messages))
    console.print()
    console.print(_summary_table(kind, summary))
    if len(messages) < summary.shown:
        console.print(
            f"Shown are the newest {len(messages):,}: --limit N shows more.", soft_wrap=True
        )
    hidden = summary.messages.total() - summary.shown
    if hidden:
        console.print(f"{hidden:,} replayed ones are hidden: --all shows them.", soft_wrap=True)


def _message_table(kind: RejectedKind, messages: list[ListedMessage]) -> Table:
    table = Table(box=None)
    table.add_column("position", no_wrap=True)
    table.add_column("written (UTC)", no_wrap=True)
    if kind.has_reasons:
        table.add_column("reason", no_wrap=True)
        table.add_column("detail", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("replayed", overflow="fold")
    for each in messages:
        message = each.message
        cells = [str(message.position), iso_time(message.time)]
        if kind.has_reasons:
            cells += [message.reason or "", message.detail or ""]
        cells += [f"{message.size:,}", each.replayed or "no"]
        # Text is not parsed as markup, and `printable` escapes what a terminal could interpret.
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _summary_table(kind: RejectedKind, summary: ListSummary) -> Table:
    table = Table(box=None)
    table.add_column("reason" if kind.has_reasons else "")
    table.add_column(kind.noun, justify="right")
    table.add_column("replayed", justify="right")
    for reason, count in summary.messages.most_common():
        row = (f"{count:,}", f"{summary.replayed[reason]:,}")
        table.add_row(Text(printable(reason)), *row)
    return table


def _age(listed: ListedMessage) -> tuple[int, int, int]:
    return (listed.message.time, *listed.message.position)
