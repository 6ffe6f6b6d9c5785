"""Where this project's modules are, and the environments of the processes that run them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mobility.settings import PREFIX

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout, or site-packages if the project is installed."""


def module_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment with which `python -m <our module>` works in any folder."""
    path = environ.get("PYTHONPATH")
    return {**environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


def clean_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment without settings, that is without `MOBILITY_*`."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
