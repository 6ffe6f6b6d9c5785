"""Secrets in files: `MOBILITY_<NAME>_FILE` names the file whose text is the secret."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec import ValidationError

_SUFFIX: Final = "_FILE"

PASSWORDS: Final = (
    "kafka_password",
    "kafka_oauth_client_secret",
    "kafka_key_password",
    "schema_registry_password",
    "schema_registry_key_password",
)
"""Settings that are never shown, and taken as they are written."""

SECRETS: Final = ("redis", "postgres", *PASSWORDS)
"""Settings that may be in a file. Of URLs only the password is hidden."""

Read = Callable[[str], str]
"""Returns the text of a file. Raises OSError, UnicodeDecodeError."""


def file_variable(variable: str) -> str:
    """Return the name of the variable that names the file of another variable's secret."""
    return variable + _SUFFIX


def secret_in_file(environ: Mapping[str, str], variable: str, read: Read) -> str:
    """Return the text of the file that the variable names, without the end of its last line.

    Raises ValidationError where there is none, or where the secret is given twice.
    """
    plain = variable.removesuffix(_SUFFIX)
    if plain in environ:
        msg = f"{plain} is set too: leave out one of them"
        raise ValidationError(msg)
    text = _text_of(environ[variable], read).rstrip("\r\n")
    if not text or "\0" in text:  # an environment variable ends at a NUL
        msg = "the file is empty" if not text else "the file is no text: it has a NUL"
        raise ValidationError(msg)
    return text


def unreadable(files: Mapping[str, str | None], read: Read) -> Iterator[str]:
    """Yield a line for each file (by its variable) that can't be read; None is no file."""
    for variable, path in files.items():
        try:
            if path is not None:
                _text_of(path, read)
        except ValidationError as error:
            yield f"{variable}={path}: {error}"


def _text_of(path: str, read: Read) -> str:
    try:
        return read(path)
    except OSError as error:
        msg = f"the file can't be read: {error.strerror}"
        raise ValidationError(msg) from error
    except UnicodeDecodeError as error:
        msg = "the file is no text in UTF-8"
        raise ValidationError(msg) from error
