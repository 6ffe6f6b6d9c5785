"""`python -m backfill`: what `just backfill` runs."""

from backfill.command import main

if __name__ == "__main__":
    raise SystemExit(main())
