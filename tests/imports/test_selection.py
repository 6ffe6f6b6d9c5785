"""Which files are new, and which import they belong to."""

from pathlib import Path

import msgspec
import pytest

from imports.errors import ImportRefusedError
from imports.selection import check_tables, interrupted_others, select_files
from mobility.trip_files import TripFile, TripFileSet
from producer.formats.join_tables import prepare_tables
from stack.import_folder import ImportFolder, ImportRecord, new_import

A, B, C = (TripFile(f"/d/{name}.csv", 9, name) for name in "abc")


def files(*held: TripFile, options: tuple[str, ...] = ()) -> TripFileSet:
    """Return a set of files."""
    return TripFileSet(given=("/d",), files=held, options=options)


def imported(state: Path, held: TripFileSet, *, is_done: bool) -> ImportFolder:
    """Return an import that is recorded."""
    folder = new_import(state)
    folder.save(ImportRecord("log", held, {0: 1}, is_done=is_done))
    return folder


def test_files_that_the_log_has_are_not_sent_again(tmp_path: Path) -> None:
    """By their content and not by their names: those of the workspace, and of imports."""
    done = imported(tmp_path, files(B), is_done=True)
    moved = TripFile("/elsewhere/a.csv", 9, A.sha256)
    found = select_files(files(moved, B, C), files(A), [done])
    assert (found.files.files, found.held, found.resumed) == ((C,), (moved, B), None)
    assert select_files(files(A, B), files(A), [done]).files.files == ()


def test_a_file_that_is_given_twice_is_sent_once(tmp_path: Path) -> None:
    """A copy has another name and the same content."""
    copy = TripFile("/d/copy.csv", 9, A.sha256)
    assert [each.sha256 for each in select_files(files(A, copy), None, []).files.files] == ["a"]
    assert list(tmp_path.iterdir()) == []


def test_an_import_that_was_interrupted_goes_on_in_its_order(tmp_path: Path) -> None:
    """Its position is one in the files as they were; they may have moved."""
    begun = imported(tmp_path, files(B, A), is_done=False)
    moved = TripFile("/elsewhere/a.csv", 9, A.sha256)
    found = select_files(files(moved, B), None, [begun])
    assert found.resumed == begun
    assert found.files.files == (B, moved)


def test_files_of_an_import_that_is_not_done_are_refused_with_others(tmp_path: Path) -> None:
    """The command that finishes it is named."""
    begun = imported(tmp_path, files(B, A), is_done=False)
    for given in (files(A), files(A, B, C)):
        with pytest.raises(ImportRefusedError, match=r"0001 has .*`just import /d/b\.csv /d/a\.cs"):
            select_files(given, None, [begun])
    assert select_files(files(C), None, [begun]).resumed is None


def test_other_imports_that_are_not_done_are_named(tmp_path: Path) -> None:
    """Their late trips wait for the same command."""
    spaced = TripFile("/d/a b.csv", 9, "a")
    begun = imported(tmp_path, files(spaced, B), is_done=False)
    done = imported(tmp_path, files(C), is_done=True)
    assert list(interrupted_others([begun, done], begun)) == []
    assert list(interrupted_others([begun, done], None)) == [
        "import 0001 is not done: `just import '/d/a b.csv' /d/b.csv` goes on with it"
    ]
    assert list(interrupted_others([begun], None, "city")) == [
        "import 0001 is not done: `just import '/d/a b.csv' /d/b.csv --name city` goes on with it"
    ]


@pytest.mark.parametrize("is_done", [True, False])
def test_other_options_for_the_same_file_are_refused(tmp_path: Path, is_done: bool) -> None:
    """Its trips would count twice, at other times."""
    begun = imported(tmp_path, files(A), is_done=is_done)
    otherwise = files(A, C, options=("--timezone", "UTC"))
    with pytest.raises(ImportRefusedError, match=r"/d/a\.csv: .* none; now: --timezone UTC"):
        select_files(otherwise, None, [begun])


def test_tables_are_those_of_the_system(tmp_path: Path) -> None:
    """The same file may be named; another one, or one where the system has none, may not.

    A workspace has a copy of what was named, as parquet.
    """
    places = tmp_path / "places.csv"
    places.write_text("id,lat,lng\n1,2,3\n")
    copy = prepare_tables({"locations": places}, tmp_path / "copy")["locations"]
    with_places = msgspec.structs.replace(files(A), tables={"locations": str(places)})
    check_tables(with_places, {"locations": str(copy)})
    places.write_text("id,lat,lng\n1,2,4\n")
    with pytest.raises(ImportRefusedError, match=r"--locations .*places.csv"):
        check_tables(with_places, {"locations": str(copy)})
    given = msgspec.structs.replace(files(A), tables={"drivers": str(tmp_path / "t")})
    check_tables(given, {"drivers": f"{tmp_path}/x/../t", "locations": None})
    for joined, has in ((str(tmp_path / "u"), f"{tmp_path}/u"), (None, "no such table")):
        with pytest.raises(ImportRefusedError, match=rf"--drivers .* has {has}\. Leave"):
            check_tables(given, {"drivers": joined})
