"""The lines of a CSV file as records: where rows end, and how many fields each has."""

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from producer.formats.csv_layout import CsvLayout

# More lines than the text of a field has: a quote that is not closed takes no more of them along.
_LINES_PER_ROW: Final = 100


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """Texts that end where rows do, and how many fields each has; 0 where quotes are not right."""

    texts: pl.Series
    fields: pl.Series

    def without_blank_lines(self) -> "CsvRecords":
        """Return those that are no blank lines."""
        is_blank = self.texts.str.contains("^ *$")
        if not is_blank.any():
            return self
        return CsvRecords(self.texts.filter(~is_blank), self.fields.filter(~is_blank))


class RecordSplitter:
    """Splits the lines of one file."""

    def __init__(self, layout: CsvLayout) -> None:
        self._layout = layout
        self._record = re.compile(layout.record)

    def split(self, lines: list[str], *, at_end: bool) -> tuple[CsvRecords, list[str]]:
        """Return the records of lines, and the lines of the last one if it goes on after them."""
        found = self.records(pl.Series(lines, dtype=pl.String))
        begins = (found.fields == 0).arg_true()
        begins = begins.filter(found.texts.gather(begins).str.contains(self._layout.open_record))
        if begins.is_empty():
            return found, []
        lines = found.texts.to_list()
        records: list[str] = []
        begun: list[str] = []
        at = 0
        for start in begins:
            if start < at:
                continue
            end = self._end_of_record(lines, found.fields, start)
            records += lines[at:start]
            at = end or start + 1
            if end is None and not at_end and len(lines) - start < _LINES_PER_ROW:
                begun, at = lines[start:], len(lines)
                break
            records.append("\n".join(lines[start:at]))
        return self.records(pl.Series(records + lines[at:], dtype=pl.String)), begun

    def records(self, texts: pl.Series) -> CsvRecords:
        """Return records that end where lines do."""
        texts = self._without_blanks(texts)
        fields = self._count_fields(texts)
        expected = len(self._layout.names)
        if (fields > expected).any():
            texts = self._without_empty_fields(texts, fields - expected)
            fields = self._count_fields(texts)
        return CsvRecords(texts, fields)

    def _end_of_record(self, lines: list[str], fields: pl.Series, start: int) -> int | None:
        """Return where a record ends whose first line has an open quote; None: not in these lines.

        That is after its first line if the quote is none of a text on several lines: because a row
        of its own follows, or because no field ends where the quote is closed.
        """
        quotes = lines[start].count('"')
        for at in range(start + 1, min(len(lines), start + _LINES_PER_ROW)):
            if fields[at] == len(self._layout.names):
                return start + 1
            quotes += lines[at].count('"')
            if quotes % 2 == 0:
                is_record = self._record.match("\n".join(lines[start : at + 1]))
                return at + 1 if is_record else start + 1
        return None

    def _count_fields(self, records: pl.Series) -> pl.Series:
        """Return how many fields each record has; 0 where quotes are not closed or misplaced."""
        separator = self._layout.separator
        counts = records.str.count_matches(separator, literal=True).cast(pl.Int64) + 1
        quoted = records.str.contains('"', literal=True).arg_true()
        if quoted.is_empty():
            return counts
        held = records.gather(quoted)
        is_whole = self._are_whole(held)
        bare = held.str.replace_all('"[^"]*"', "")
        within = bare.str.count_matches(separator, literal=True).cast(pl.Int64) + 1
        return counts.scatter(quoted, within.zip_with(is_whole, within * 0))

    def _without_blanks(self, lines: pl.Series) -> pl.Series:
        """Return lines without blanks between separators and quotes, where that makes rows."""
        # Most files have no quotes, and looking for these alone takes a small part of the time.
        quoted = lines.str.contains('"', literal=True).arg_true()
        if quoted.is_empty():
            return lines
        separator = self._layout.escaped_separator
        has_blanks = f'(?:^|{separator}) +"|" +(?:{separator}|$)'
        at = quoted.filter(lines.gather(quoted).str.contains(has_blanks))
        if at.is_empty():
            return lines
        held = lines.gather(at)
        tidied = held.str.replace_all(f'(^|{separator}) +"', '$1"')
        tidied = tidied.str.replace_all(f'" +({separator}|$)', '"$1')
        is_mended = self._are_whole(tidied) & ~self._are_whole(held)
        return lines.scatter(at.filter(is_mended), tidied.filter(is_mended))

    def _are_whole(self, records: pl.Series) -> pl.Series:
        return records.str.contains(self._layout.record)

    def _without_empty_fields(self, records: pl.Series, more: pl.Series) -> pl.Series:
        """Return records without empty fields at the end, where they have `more` than columns.

        Some programs end each row with separators: nothing is lost with them.
        """
        found = pl.DataFrame({"record": records, "more": more})
        at_end = pl.col("record").str.extract(f"({self._layout.escaped_separator}*)$")
        is_empty = (pl.col("more") > 0) & (pl.col("more") <= at_end.str.len_chars())
        length = pl.col("record").str.len_chars() - pl.col("more").clip(0)
        cut = pl.col("record").str.head(length)
        return found.select(pl.when(is_empty).then(cut).otherwise("record")).to_series()
