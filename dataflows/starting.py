"""What both flows do before they are built: read the settings, or say what is wrong with them."""

import os
import sys

from mobility.settings import Settings, SettingsError, read_settings


def settings_or_exit() -> Settings:
    """Return the settings; print every fault and exit with 2 where they can't be used."""
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"The settings can't be used:\n{error}\n")
        raise SystemExit(2) from None


def process_number() -> int:
    """Return which process of its cluster this is, as Bytewax was told."""
    arguments = sys.argv
    for flag in ("-i", "--process-id"):
        if flag in arguments[:-1]:
            return int(arguments[arguments.index(flag) + 1])
    return int(os.environ.get("BYTEWAX_PROCESS_ID", "0"))
