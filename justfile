# Every recipe finds the project's own tools first and runs where the caller stands.

set positional-arguments := true
set quiet := true

root := justfile_directory()
export PATH := root / ".venv/bin:" + env("PATH")
export PYTHONPATH := root

# List the recipes.
default:
    just --justfile "{{ justfile() }}" --list --unsorted

# What runs until it is told to stop replaces the shell, which would not pass SIGTERM on to it.

# Start the whole system, live, until Ctrl-C (`up native` and `up docker` choose).
up *args:
    exec python -m stack.live "$@"

# Stop what a crashed `up` left running.
down:
    python -m stack.live down

# Run a trips parquet once through the real system and compare every number.
[no-cd]
replay *args:
    python -m stack run -- python -m audit.replay "$@"

# Replay the sample data with its tables.
demo *args:
    python -m stack run -- python -m audit.replay data/trips.parquet --drivers data/drivers.parquet --passengers data/passengers.parquet --locations data/locations.parquet "$@"

# Count windows that are over again from the log, compare every place: [--windows N | --all] ...
[no-cd]
audit *args:
    python -m stack.beside "{{ root }}/.mobility" python -m audit.sampling "$@"

# Run the flow against services that run already: -r DIR [--processes N] [--flow serving] [--accept-gap].
[no-cd]
run *args:
    exec python -m dataflows "$@"

# Dead letters: list, show POSITION, replay [--with FILE of corrected trips]; each has --help.
[no-cd]
dlq *args:
    python -m stack.beside "{{ root }}/.mobility" python -m corrections.commands dlq "$@"

# Late trips: list, show POSITION, replay, which hands their windows to the backfill.
[no-cd]
late *args:
    python -m stack.beside "{{ root }}/.mobility" python -m corrections.commands late "$@"

# Recount closed windows, with corrections: --from T --to T [--with FILE] [--apply], --take-back ID, --list.
[no-cd]
backfill *args:
    python -m stack.beside "{{ root }}/.mobility" python -m corrections.backfill --records "{{ root }}/.mobility/backfills" "$@"

# Create the declared topics; report what differs.
topics:
    python -m broker.topic_setup

# Make the sample data again, byte for byte: [--trips N] [--out DIR].
[no-cd]
data *args:
    python -m data "$@"

# Make a token for the API: NAME [SCOPES]; its line goes to stdout, for the file MOBILITY_API_TOKENS.
[no-cd]
token *args:
    python -m api.access "$@"

# Every test, on its own services, three at a time, as most wait for one (`-n 0`: in one process).
test *args:
    python -m stack run -- python -m pytest -n 3 --dist loadgroup "$@"

# Measure against peers and write benchmarks/RESULTS.md; `quick` is the regression guard.
[no-cd]
bench *args:
    python -m stack run -- python -m benchmarks "$@"

# Kill, freeze and starve the real system, and compare every number: [quick|full] [--seed N].
chaos *args:
    case "${1-}" in quick|full) rounds=$1; shift; set -- --rounds "$rounds" "$@" ;; esac; python -m pytest -m chaos tests/chaos "$@"

# What CI runs before the tests: lint, format, types, import contracts.
check:
    ruff check
    ruff format --check
    mypy
    lint-imports

# Fetch the pinned libraries of the pages with npm, hashes checked: [--check compares only].
vendor *args:
    python -m stack.vendor "$@"

# Pin and hash every dependency, for Python 3.11 and 3.12.
lock:
    uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.runtime.lock
