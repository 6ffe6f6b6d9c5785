"""`python -m producer.prepare_tables --folder DIR --locations FILE`: tables as the flow reads them.

It prints the paths by name, as JSON; `just up` runs it before the flow starts.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from producer.formats.errors import TripsFileError
from producer.formats.join_tables import add_table_options, prepare_tables, table_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables; return 0, or 2 if one can't be joined."""
    parser = argparse.ArgumentParser(prog="prepare_tables", allow_abbrev=False)
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR")
    add_table_options(parser)
    found = parser.parse_args(arguments)
    try:
        prepared = prepare_tables(table_options(found), found.folder)
    except (OSError, TripsFileError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.buffer.write(msgspec.json.encode({n: str(p) for n, p in prepared.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
