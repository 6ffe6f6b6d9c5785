"""What a backfill says when it does nothing."""


class BackfillError(RuntimeError):
    """A backfill that is refused; the message says why and what to do. Nothing was written."""
