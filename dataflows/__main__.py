"""`python -m dataflows`: runs one of the flows as a group of processes with recovery."""

from dataflows.stopping import leave_on_signals

# A signal may come while the rest is imported, which takes a second.
leave_on_signals()

from dataflows.command import main  # noqa: E402 - see above

if __name__ == "__main__":
    raise SystemExit(main())
