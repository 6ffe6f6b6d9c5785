"""`python -m corrections`: what `just dlq` and `just late` run."""

from corrections.command import main

if __name__ == "__main__":
    raise SystemExit(main())
