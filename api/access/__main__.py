"""`python -m api.access NAME [SCOPES]`: create a token (`just token`)."""

import sys
from typing import Final

from api.access.tokens import TokensError, create_token

_USAGE: Final = (
    "just token NAME [SCOPES]: SCOPES are `all` (the default), `none` (status and metrics only), "
    "or entities separated by commas.\n"
)


def main(arguments: list[str]) -> int:
    """Print the line for the tokens file to stdout, and the token for its owner to stderr."""
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):  # noqa: PLR2004 - see _USAGE
        sys.stderr.write(_USAGE)
        return 2
    try:
        token, line = create_token(*arguments, *(["all"] if len(arguments) == 1 else []))
    except TokensError as error:
        sys.stderr.write(f"{error}\n{_USAGE}")
        return 2
    sys.stderr.write(f"The token, which is not shown again: {token}\n")
    sys.stderr.flush()
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
