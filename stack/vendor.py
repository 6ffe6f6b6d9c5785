"""`python -m stack.vendor`: the browser's libraries, downloaded by npm, checked, and copied.

`packages.json` has the version of each package, the sha512 of its archive as published by npm, and
which of its files are copied under which name, with their sha256. No code of a package is run.
"""

import argparse
import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from stack.checkout import ROOT

_DESCRIPTION: Final = (
    "Download the pinned libraries of the pages with npm, check their hashes, and copy their files."
)

FOLDER: Final = ROOT / "api" / "pages" / "assets" / "vendor"


class VendorError(Exception):
    """A package that can't be downloaded as it is pinned; the message says why."""


class VendoredFile(msgspec.Struct, frozen=True):
    """A file of a package: its path there, its name here, and the sha256 of its content."""

    path: str
    name: str
    sha256: str


class Package(msgspec.Struct, frozen=True):
    """A package of npm, pinned: `integrity` is `sha512-` and the base64 of its archive's hash."""

    name: str
    version: str
    license: str
    integrity: str
    files: tuple[VendoredFile, ...]


def packages(folder: Path = FOLDER) -> list[Package]:
    """Return the packages in a folder's `packages.json`."""
    return msgspec.json.decode((folder / "packages.json").read_bytes(), type=list[Package])


def changed_files(folder: Path = FOLDER) -> Iterator[str]:
    """Yield the names of files that are missing or not as pinned."""
    for package in packages(folder):
        for kept in package.files:
            path = folder / kept.name
            if not path.is_file() or _sha256(path.read_bytes()) != kept.sha256:
                yield kept.name


def fetch(package: Package, target: Path) -> None:
    """Copy a package's files to `target`; raises VendorError if one is not as pinned."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = _download(package, Path(scratch))
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{found}" != package.integrity:
            msg = f"{package.name} {package.version}: the archive is not the pinned one"
            raise VendorError(msg)
        with tarfile.open(archive) as tar:
            for kept in package.files:
                (target / kept.name).write_bytes(_content(tar, package, kept))


def _download(package: Package, scratch: Path) -> Path:
    """Download the archive of a package with npm; return its path."""
    spec = f"{package.name}@{package.version}"
    options = ("--ignore-scripts", "--silent", "--pack-destination", str(scratch))
    try:
        subprocess.run(  # noqa: S603 - the names are pinned
            ["npm", "pack", spec, *options],  # noqa: S607 - the npm on the user's PATH
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        msg = (
            "npm is needed to download the browser's libraries: install Node.js, which includes it"
        )
        raise VendorError(msg) from None
    except subprocess.CalledProcessError as error:
        msg = f"npm can't download {spec}:\n{error.stderr}"
        raise VendorError(msg) from None
    return next(scratch.glob("*.tgz"))


def _content(tar: tarfile.TarFile, package: Package, kept: VendoredFile) -> bytes:
    member = tar.extractfile(f"package/{kept.path}")
    content = member.read() if member else b""
    if _sha256(content) != kept.sha256:
        msg = f"{package.name} {package.version}: {kept.path} is not the pinned file"
        raise VendorError(msg)
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Download every package, or only compare the files; return the exit code."""
    parser = argparse.ArgumentParser(prog="just vendor", description=_DESCRIPTION)
    parser.add_argument("--check", action="store_true", help="compare only, and download nothing")
    if parser.parse_args().check:
        changed = list(changed_files())
        names = ", ".join(changed)
        sys.stdout.write(f"not as pinned: {names}\n" if changed else "all as pinned\n")
        return 1 if changed else 0
    try:
        for package in packages():
            fetch(package, FOLDER)
            sys.stdout.write(f"{package.name} {package.version}\n")
    except VendorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
