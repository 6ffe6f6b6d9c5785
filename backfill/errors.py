"""The error of a backfill that is refused."""


class BackfillError(RuntimeError):
    """A backfill is refused; the message says why and what to do. Nothing was written."""
