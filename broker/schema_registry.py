"""Schemas by their ids, from a schema registry.

The client is Confluent's, for the protocol that all registries speak
(https://docs.confluent.io/platform/current/schema-registry/develop/api.html). An id has one schema
for ever, so each is asked for once.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from broker.clients import ANSWER_SECONDS
from broker.errors import AccessError, RegistryError, StopRequestedError
from mobility.settings import Settings

UNKNOWN_SECONDS: Final = 60.0
"""How long an id that the registry does not know is not asked for again."""

_REQUEST_SECONDS: Final = 5.0
"""How long one request may take; a stop waits for it."""

_FIRST_DELAY: Final = 0.1
_MAX_DELAY: Final = 1.0
_REMINDER_SECONDS: Final = 60.0
_MOST_UNKNOWN: Final = 100_000

_NOT_THERE: Final = (40401, 40402, 40403)
"""No such subject, version or schema. A 404 without one of these is not the registry's."""

_TLS_SETTINGS: Final = (
    "MOBILITY_SCHEMA_REGISTRY and MOBILITY_SCHEMA_REGISTRY_CA, _CERTIFICATE, _KEY"
)

_FINAL_WORDS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "ALERT")
"""In OpenSSL's reasons: no TLS at the other end, or that end refuses."""

_PASSING: Final = (408, 429, 500, 502, 503, 504)
_LOGIN: Final = (401, 403)

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


def never() -> bool:
    """Return False: nothing asks this process to stop."""
    return False


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema: its `kind` is AVRO, JSON or PROTOBUF.

    `referenced` are the texts of the schemas that it refers to, each behind those that it refers to
    itself.
    """

    id: int
    kind: str
    text: str
    referenced: tuple[str, ...] = ()


class SchemaRegistry:
    """The registry of MOBILITY_SCHEMA_REGISTRY. Threads share it.

    A registry that does not answer is waited for: for `patience` seconds, or for ever where that is
    None. `stopping` returns whether this process was asked to stop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        patience: float | None = ANSWER_SECONDS,
        stopping: Callable[[], bool] = never,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._url = settings.schema_registry or ""
        self._place = f"{self._url} (MOBILITY_SCHEMA_REGISTRY)"
        self._patience = patience
        self._stopping = stopping
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._schemas: dict[int, RegisteredSchema] = {}
        self._unknown: dict[int, float] = {}
        self._client = _client(settings)

    def schema(self, number: int) -> RegisteredSchema | None:
        """Return the schema of an id, None where the registry has none.

        Raises RegistryError, AccessError, StopRequestedError.
        """
        found = self._schemas.get(number)
        if found is not None:
            return found
        with self._lock:
            if number not in self._schemas and self._is_worth_asking(number):
                answer = self._ask(partial(self._client.get_schema, number))
                if answer is None:
                    self._unknown[number] = self._clock() + UNKNOWN_SECONDS
                else:
                    self._schemas[number] = self._registered(number, answer)
            return self._schemas.get(number)

    def latest(self, subject: str) -> RegisteredSchema | None:
        """Return the newest schema of a subject, None where there is no such subject.

        Raises as `schema`.
        """
        with self._lock:
            found = self._ask(partial(self._client.get_latest_version, subject))
            return None if found is None else self._registered(found.schema_id or 0, found.schema)

    def _is_worth_asking(self, number: int) -> bool:
        until = self._unknown.pop(number, None)
        if until is not None and self._clock() < until:
            self._unknown[number] = until
            return False
        if len(self._unknown) >= _MOST_UNKNOWN:
            self._unknown.clear()
        return True

    def _registered(self, number: int, schema: Schema) -> RegisteredSchema:
        referenced = dict.fromkeys(self._referenced(schema))
        kind = schema.schema_type or "AVRO"
        return RegisteredSchema(number, kind, schema.schema_str or "", tuple(referenced))

    def _referenced(self, schema: Schema) -> Iterator[str]:
        """Yield the texts of what a schema refers to; a registry has no references in circles."""
        for reference in schema.references or ():
            subject, version = reference.subject or "", reference.version or 0
            found = self._ask(partial(self._client.get_version, subject, version))
            if found is not None:  # else the schema says itself what it lacks
                yield from self._referenced(found.schema)
                yield found.schema.schema_str or ""

    def _ask(self, request: Callable[[], T]) -> T | None:
        """Return the answer, None where the registry has nothing of that; wait for a registry."""
        since: float | None = None
        reminded, delay = self._clock(), _FIRST_DELAY
        while True:
            answer, obstacle = self._attempt(request)
            if obstacle is None:
                if since is not None:
                    _log.warning("The schema registry at %s answers again", self._url)
                return answer
            now = self._clock()
            if since is None or now - reminded >= _REMINDER_SECONDS:
                _log.warning("Waiting for the schema registry at %s: %s", self._url, obstacle)
                reminded = now
            since = now if since is None else since
            self._check_patience(obstacle, now - since)
            self._sleep(delay)
            delay = min(2 * delay, _MAX_DELAY)

    def _attempt(self, request: Callable[[], T]) -> tuple[T | None, str | None]:
        """Return an answer, or why there is none yet. Raises AccessError where none will come."""
        try:
            return request(), None
        except SchemaRegistryError as error:
            if error.http_status_code in _PASSING:
                return None, str(error)
            if error.error_code in _NOT_THERE:
                return None, None
            raise self._refusal(error) from error
        except httpx2.TransportError as error:
            if (refused := _refused_handshake(error)) is not None:
                msg = f"No secured connection to {self._place}: {refused}. Check {_TLS_SETTINGS}."
                raise AccessError(msg) from error
            return None, str(error) or type(error).__name__
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"What answers at {self._place} is no schema registry."
            raise AccessError(msg) from error

    def _refusal(self, error: SchemaRegistryError) -> AccessError:
        if error.http_status_code in _LOGIN:
            check = "MOBILITY_SCHEMA_REGISTRY_USER and MOBILITY_SCHEMA_REGISTRY_PASSWORD"
            return AccessError(
                f"The schema registry at {self._url} refuses the login. Check {check}."
            )
        return AccessError(f"What answers at {self._place} is no schema registry: {error}.")

    def _check_patience(self, obstacle: str, seconds: float) -> None:
        msg = f"The schema registry at {self._place} does not answer: {obstacle}."
        if self._stopping():
            raise StopRequestedError(msg)
        if self._patience is not None and seconds >= self._patience:
            raise RegistryError(msg)


def _client(settings: Settings) -> SchemaRegistryClient:
    """Return the client of the registry, whose own retries are off. Raises AccessError."""
    config: dict[str, object] = {
        "url": settings.schema_registry,
        "timeout": _REQUEST_SECONDS,
        "max.retries": 0,
        "ssl.ca.location": settings.schema_registry_ca,
        "ssl.certificate.location": settings.schema_registry_certificate,
        "ssl.key.location": settings.schema_registry_key,
        "ssl.key.password": settings.schema_registry_key_password,
    }
    if settings.schema_registry_user is not None:
        login = f"{settings.schema_registry_user}:{settings.schema_registry_password}"
        config["basic.auth.user.info"] = login
    try:
        return SchemaRegistryClient(config)
    except (OSError, ValueError) as error:  # OSError: files that are no certificate, no key
        msg = f"A client of the schema registry can't be made: {error}. Check {_TLS_SETTINGS}."
        raise AccessError(msg) from error


def _refused_handshake(error: BaseException | None) -> str | None:
    """Return why another attempt at TLS would fail too; None where it may be better."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__ or _wrapped(error)
    if error is None:
        return None
    reason = error.reason or ""
    is_final = isinstance(error, ssl.SSLCertVerificationError) or any(
        word in reason for word in _FINAL_WORDS
    )
    return str(error) if is_final else None


def _wrapped(error: BaseException) -> BaseException | None:
    first = error.args[0] if error.args else None
    return first if isinstance(first, BaseException) else None
