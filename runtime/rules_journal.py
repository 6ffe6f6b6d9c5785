"""The rules journal of a recovery folder, and the copies of the tables that it names."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from mobility.enrichment import TableError
from mobility.files import sync_folder, write_atomically
from mobility.rules_journal import (
    JOURNAL_FILE,
    JournalEntry,
    decode_journal,
    encode_journal,
    table_file,
)
from mobility.settings import PREFIX
from runtime.failures import RefusalError

_CHUNK: Final = 1 << 20


def read_journal(folder: Path) -> tuple[JournalEntry, ...]:
    """Return the entries of the journal, the newest last; none where there is no journal.

    Raises RefusalError where it can't be read.
    """
    path = folder / JOURNAL_FILE
    try:
        return decode_journal(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        msg = (
            f"{path} can't be read: {error}\n"
            "Restore it from a backup, or start the release that wrote it."
        )
        raise RefusalError(msg) from error


def write_journal(folder: Path, entries: Sequence[JournalEntry]) -> None:
    """Replace the journal; it is on the disk on return."""
    write_atomically(folder / JOURNAL_FILE, encode_journal(entries), durable=True)


def copied_tables(folder: Path, entry: JournalEntry) -> dict[str, Path]:
    """Return the copies that an entry names, by the settings of the tables."""
    return {name: folder / table_file(sha256) for name, sha256 in entry.tables.items()}


def copy_tables(folder: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """Copy files into the folder, each under its SHA-256; return that by the name of the table.

    The copies are on the disk on return. Raises TableError where a file can't be read, OSError
    where the folder can't be written.
    """
    copies = (folder / table_file("")).parent
    copies.mkdir(mode=0o700, exist_ok=True)
    copied = {}
    for name, path in files.items():
        try:
            content = path.open("rb")
        except OSError as error:
            msg = f"{PREFIX}{name.upper()}={path}: {error}"
            raise TableError(msg) from error
        with content:
            copied[name] = _copy(content, copies / "incoming", folder)
    sync_folder(copies)
    sync_folder(folder)
    return copied


def hash_tables(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file. Raises OSError, naming the file."""
    hashes = {}
    for name, path in files.items():
        with path.open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _copy(content: BinaryIO, temporary: Path, folder: Path) -> str:
    digest = hashlib.sha256()
    with temporary.open("wb") as copy:
        # In one pass: a file that changes meanwhile must not get the hash of another content.
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    temporary.replace(folder / table_file(digest.hexdigest()))
    return digest.hexdigest()
