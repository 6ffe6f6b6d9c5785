"""The error of a backfill that is refused."""


class BackfillError(RuntimeError):
    """A backfill is refused; the message says why and what to do. Nothing was written."""


class IncompleteRangeError(BackfillError):
    """The range has windows that are not complete yet: later the same backfill is not refused."""
