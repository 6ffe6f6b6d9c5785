"""Writing a file whole or not at all: for small records that others read at any time."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write the text to a file beside `path` and rename that: readers see the old or the new file.

    Rename is atomic within a file system (POSIX rename(2)). Raises OSError.
    """
    draft = path.with_name(f"{path.name}.tmp")
    draft.write_text(text)
    draft.replace(path)
