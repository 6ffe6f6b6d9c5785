"""Refusals of Kafka end the flow as refusals: another start would be refused too."""

from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import AccessError, MissingTopicError
from runtime.failures import RefusalError


@contextmanager
def refused_by_kafka() -> Iterator[None]:
    """Raise RefusalError where Kafka refuses this client, or has no such topic."""
    try:
        yield
    except (AccessError, MissingTopicError) as error:
        raise RefusalError(str(error)) from error
