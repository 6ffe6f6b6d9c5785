"""The backfill to run is printed as it is typed."""

from pathlib import Path

from corrections.backfill_request import BackfillRequest

HOUR = 3_600_000


def test_the_command_names_file_and_workspace() -> None:
    """Without either where there is none: it would go to another system."""
    request = BackfillRequest(None, 0, HOUR)
    assert request.command == "just backfill --from 1970-01-01T00:00:00Z --to 1970-01-01T01:00:00Z"
    request = BackfillRequest(Path("a b.ndjson"), 0, HOUR, "january")
    assert request.command.endswith(" --with 'a b.ndjson' --name january")
