"""`python -m imports`: what `just import` runs."""

from imports.command import main

if __name__ == "__main__":
    raise SystemExit(main())
