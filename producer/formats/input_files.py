"""The files that people name: folders, compressed files and JSON pages, as plain files."""

import codecs
import gzip
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec
from backports import zstd

from producer.formats.errors import TripsFileError

Kind = Literal["parquet", "csv", "ndjson"]

OnLeftAside = Callable[[str], None]
"""Called with the name of a file of a folder, or of an archive, that is not read."""

_MAGIC_LENGTH: Final = 4
_COPIED: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"

_NAMES: Final = (".parquet", ".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json", ".geojson")
_COMPRESSED: Final = (".gz", ".zst", ".zip")

_DECOMPRESSORS: Final[dict[bytes, Callable[[Path], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
}
_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A plain file of trips.

    `name` is for messages: that of the file, or of its member of an archive.
    """

    name: str
    path: Path
    kind: Kind

    @property
    def size(self) -> int:
        """How many bytes it has, decompressed."""
        return self.path.stat().st_size


def open_inputs(
    paths: Sequence[Path], scratch: Path, on_left_aside: OnLeftAside
) -> Iterator[InputFile]:
    """Yield the plain files behind these paths, in their order; those of a folder by name.

    Compressed files are decompressed to `scratch`, and JSON pages written there as one trip per
    line. What a file is, its content decides and not its name. Raises TripsFileError.
    """
    seen: set[Path] = set()
    for number, path in enumerate(trip_files(paths, on_left_aside)):
        if path.resolve() in seen:
            msg = f"{path}: this file is named twice, and its trips would count twice"
            raise TripsFileError(msg)
        seen.add(path.resolve())
        try:
            yield from _plain_files(path, scratch / str(number), on_left_aside)
        except (OSError, EOFError, UnicodeError, zipfile.BadZipFile, zstd.ZstdError) as error:
            msg = f"{path}: can't be read: {error}"
            raise TripsFileError(msg) from error


def trip_files(paths: Sequence[Path], on_left_aside: OnLeftAside) -> Iterator[Path]:
    """Yield the files behind these paths, as they are on disk; those of a folder by name.

    What a folder has besides is left aside. Raises TripsFileError.
    """
    for path in paths:
        if path.is_dir():
            held = sorted(each for each in path.rglob("*") if each.is_file())
            visible = [each for each in held if not _is_hidden(each.relative_to(path))]
            found = [each for each in visible if _is_trips_file(each)]
            for each in visible:
                if not _is_trips_file(each):
                    on_left_aside(str(each))
            if not found:
                msg = f"{path}: no trip files in this folder (parquet, CSV, NDJSON or JSON)"
                raise TripsFileError(msg)
            yield from found
        elif path.is_file():
            yield path
        else:
            msg = f"{path}: no such file"
            raise TripsFileError(msg)


def _is_trips_file(path: Path) -> bool:
    names = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    is_compressed = path.suffix.lower() in _COMPRESSED
    known = names[-1:] and names[-1] in _NAMES
    return bool(known or is_compressed)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _plain_files(path: Path, scratch: Path, on_left_aside: OnLeftAside) -> Iterator[InputFile]:
    with path.open("rb") as file:
        magic = file.read(_MAGIC_LENGTH)
    if not magic:
        msg = f"{path}: the file is empty"
        raise TripsFileError(msg)
    scratch.mkdir()
    if magic == _ZIP:
        yield from _members(path, scratch, on_left_aside)
        return
    for start, decompress in _DECOMPRESSORS.items():
        if magic.startswith(start):
            with decompress(path) as content:
                yield _typed(str(path), _copy(content, scratch / "content"), scratch)
            return
    yield _typed(str(path), path, scratch)


def _members(path: Path, scratch: Path, on_left_aside: OnLeftAside) -> Iterator[InputFile]:
    """Extract the members of an archive one by one; what tools of macOS add is no trip file."""
    with zipfile.ZipFile(path) as archive:
        held = [each for each in archive.infolist() if not each.is_dir()]
        visible = [each for each in held if not _is_hidden(Path(each.filename))]
        members = [each for each in visible if _is_member(each)]
        for each in visible:
            if not _is_member(each):
                on_left_aside(f"{path}/{each.filename}")
        if not members:
            msg = f"{path}: no trip files in this archive (parquet, CSV, NDJSON or JSON)"
            raise TripsFileError(msg)
        for number, member in enumerate(members):
            with archive.open(member) as content:
                copy = _copy(content, scratch / f"member-{number}")
            yield _typed(f"{path}/{member.filename}", copy, scratch)


def _is_member(file: zipfile.ZipInfo) -> bool:
    return Path(file.filename).suffix.lower() in _NAMES


def _copy(content: IO[bytes], target: Path) -> Path:
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, _COPIED)
    return target


def _typed(name: str, path: Path, scratch: Path) -> InputFile:
    first = _first_line(path)
    if first.startswith(b"PAR1"):
        return InputFile(name, path, "parquet")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _typed(name, _as_utf_8(path, scratch / f"{path.name}.utf-8"), scratch)
    if not first.startswith((b"{", b"[")):
        return InputFile(name, path, "csv")
    if _is_trip(first):
        return InputFile(name, path, "ndjson")
    lines = scratch / f"{path.name}.ndjson"
    _write_trips_of_pages(name, path, lines)
    return InputFile(name, lines, "ndjson")


def _first_line(path: Path) -> bytes:
    """Return the first line that is not blank, without a mark; empty if there is none."""
    with path.open("rb") as file:
        return next((text for line in file if (text := line.removeprefix(_BOM).strip())), b"")


def _as_utf_8(path: Path, target: Path) -> Path:
    with (
        path.open(encoding="utf-16", newline="") as held,
        target.open("w", encoding="utf-8", newline="") as file,
    ):
        shutil.copyfileobj(held, file, _COPIED)
    return target


def _is_trip(line: bytes) -> bool:
    """Tell whether a line is a whole JSON object and not a page with a list of trips."""
    try:
        found = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return _trips_in(found) is None


def _write_trips_of_pages(name: str, path: Path, target: Path) -> None:
    """Write the trips of JSON pages as one object a line.

    A page is an array of trips, or an object of the Mobility Data Specification with `trips`, in
    `data` or not; a file holds one page, or one per line.
    """
    content = path.read_bytes().removeprefix(_BOM)
    try:
        pages = [_trips_of(content)]
    except msgspec.DecodeError:
        try:
            pages = [_trips_of(line) for line in content.splitlines() if line.strip()]
        except msgspec.DecodeError as error:
            msg = f"{name}: not JSON with trips, nor one JSON object per line: {error}"
            raise TripsFileError(msg) from error
    if None in pages:
        msg = f'{name}: no list of trips in this JSON: expected an array, or "trips", or "data"'
        raise TripsFileError(msg)
    with target.open("wb") as file:
        for trips in pages:
            for trip in trips or []:
                file.write(msgspec.json.format(bytes(trip), indent=-1) + b"\n")


def _trips_of(page: bytes) -> list[msgspec.Raw] | None:
    if page.lstrip().startswith(b"["):
        return msgspec.json.decode(page, type=list[msgspec.Raw])
    return _trips_in(msgspec.json.decode(page, type=dict[str, msgspec.Raw]))


def _trips_in(page: dict[str, msgspec.Raw]) -> list[msgspec.Raw] | None:
    for name in ("trips", "data"):
        held = bytes(page.get(name, b"")).lstrip()
        if held.startswith(b"["):
            return msgspec.json.decode(held, type=list[msgspec.Raw])
        if held.startswith(b"{") and name == "data":
            return _trips_in(msgspec.json.decode(held, type=dict[str, msgspec.Raw]))
    return None
