"""`python -m api.access NAME [SCOPES]`: make a token (`just token`)."""

import sys
from typing import Final

from api.access.tokens import TokensError, make_token

_USAGE: Final = (
    "just token NAME [SCOPES]: SCOPES are `all` (the default), `none` (status and metrics), or "
    "entities divided by commas.\n"
)


def main(arguments: list[str]) -> int:
    """Print the line for the file, and the token for its owner where people read it."""
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):  # noqa: PLR2004 - see _USAGE
        sys.stderr.write(_USAGE)
        return 2
    try:
        token, line = make_token(*arguments, *(["all"] if len(arguments) == 1 else []))
    except TokensError as error:
        sys.stderr.write(f"{error}\n{_USAGE}")
        return 2
    sys.stderr.write(f"The token, which is shown only now: {token}\n")
    sys.stderr.flush()
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
