"""Where this project's own modules are, for the processes that run them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout, or site-packages where the project is installed."""


def module_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment with which `python -m <our module>` works from any folder."""
    path = environ.get("PYTHONPATH")
    return {**environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}
