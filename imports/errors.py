"""The error of an import that is refused."""


class ImportRefusedError(RuntimeError):
    """An import is refused; the message says why and what to do. Nothing was sent."""
