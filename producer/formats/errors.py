"""Files that can't be read as trips."""


class TripsFileError(ValueError):
    """A file that can't be read as trips; the message says what to do, one fault per line."""
