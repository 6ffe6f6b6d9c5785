# Every recipe uses the project's own tools and runs in the caller's folder.

set positional-arguments := true
set quiet := true

root := justfile_directory()
export PATH := root / ".venv/bin:" + env("PATH")
export PYTHONPATH := root

# List the recipes.
default:
    just --justfile "{{ justfile() }}" --list --unsorted

# A command that runs until it is stopped replaces the shell, which would not forward SIGTERM to it.

# Run the whole system until Ctrl-C: FILE... [--name N] for your own trips (without: native|docker, a sample city).
[no-cd]
up *args:
    exec env PYTHONSAFEPATH=1 python -m stack.up --folder "{{ root }}/.mobility" "$@"

# Stop a running system, or what a crashed `up` left running: [--name N] for a workspace of files.
down *args:
    python -m stack.up down "$@"

# List the workspaces of `just up FILE`: files, trips, running or not, size on disk.
workspaces:
    python -m stack.workspaces list

# Add files of trips to a running system, and recount what comes late: FILE... [--name N] for a workspace.
[no-cd]
import *args:
    exec python -m imports --folder "{{ root }}/.mobility" "$@"

# Delete a workspace with its data: NAME [--yes].
reset *args:
    python -m stack.workspaces reset "$@"

# Send files of trips (parquet, CSV, NDJSON, JSON) once through the real system and compare every number.
[no-cd]
replay *args:
    python -m stack run -- python -m audit.replay "$@"

# Replay the sample data with its tables of drivers, passengers and locations.
demo *args:
    python -m stack run -- python -m audit.replay data/trips.parquet --drivers data/drivers.parquet --passengers data/passengers.parquet --locations data/locations.parquet "$@"

# Recompute complete windows from the log, compare topics and stores: [--windows N | --all] ...
[no-cd]
audit *args:
    python -m stack.with_settings "{{ root }}/.mobility" python -m audit.sampling --records "{{ root }}/.mobility/backfills" "$@"

# Run the flow on running services: -r DIR [--processes N] [--flow serving] [--accept-gap] [--add-entity NAME].
[no-cd]
run *args:
    exec python -m dataflows "$@"

# Dead letters: list, show POSITION, replay [--with FILE of corrected trips]; each has --help.
[no-cd]
dlq *args:
    python -m stack.with_settings "{{ root }}/.mobility" python -m corrections dlq "$@"

# Late trips: list, show POSITION, replay, which writes them to a file for a backfill.
[no-cd]
late *args:
    python -m stack.with_settings "{{ root }}/.mobility" python -m corrections late "$@"

# Recount complete windows, with corrections: --from T --to T [--with FILE] [--apply], --take-back ID, --list.
[no-cd]
backfill *args:
    python -m stack.with_settings "{{ root }}/.mobility" python -m backfill --records "{{ root }}/.mobility/backfills" "$@"

# Fill a store again from `aggregated.*`, with the flow stopped: postgres|redis|delta -r DIR.
[no-cd]
rebuild *args:
    python -m stack.with_settings "{{ root }}/.mobility" python -m dataflows --rebuild "$@"

# Create the declared topics; report existing ones that differ.
topics:
    python -m broker.topic_setup

# Generate the sample data, byte for byte the same: [--trips N] [--seed S] [--out DIR].
[no-cd]
data *args:
    python -m data "$@"

# Create a token for the API: NAME [SCOPES]; the line for the file MOBILITY_API_TOKENS goes to stdout.
[no-cd]
token *args:
    python -m api.access "$@"

# Their hundreds of processes would compile everything again where the environment forbids to keep bytecode.

# Run the tests on their own services, in three processes (`-n 0`: in one process).
test *args:
    PYTHONDONTWRITEBYTECODE= python -m stack run -- python -m pytest -n 3 --dist loadgroup "$@"

# Measure this system and peers, and write benchmarks/RESULTS.md; `quick` is the regression check.
[no-cd]
bench *args:
    python -m stack run -- python -m benchmarks "$@"

# Kill, freeze and fill real services, and compare every number, two tests at once: [quick|full] [--seed N].
chaos *args:
    case "${1-}" in quick|full) rounds=$1; shift; set -- --rounds "$rounds" "$@" ;; esac; PYTHONDONTWRITEBYTECODE= python -m pytest -v -n 2 --dist loadgroup --maxschedchunk 1 -m chaos tests/chaos "$@"

# Check lint, format, types and import contracts, as CI does before the tests.
check:
    ruff check
    ruff format --check
    mypy
    lint-imports

# Download the pinned libraries of the pages with npm and check their hashes (`--check`: compare only).
vendor *args:
    python -m stack.vendor "$@"

# Pin every dependency with hashes, for Python 3.11 and 3.12.
lock:
    uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.runtime.lock
