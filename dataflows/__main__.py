"""`python -m dataflows`: runs one of the flows as a group of processes with recovery."""

from runtime.signals import exit_on_signals

# A signal may come while the other modules are imported, which takes a second.
exit_on_signals()

from runtime.command import main  # noqa: E402 - see above

if __name__ == "__main__":
    raise SystemExit(main())
