"""The error of an import that is refused."""


class ImportRefusedError(RuntimeError):
    """An import is refused; the message says why and what to do. Nothing was sent."""


class ImportStoppedError(RuntimeError):
    """An import was stopped by a signal while it sent trips; the same command goes on."""
