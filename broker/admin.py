"""Questions to the cluster, whose answers come, or fail within seconds with a reason."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AdminClient,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from broker.access import Access, denial, is_denied
from broker.clients import ANSWER_SECONDS, client_config, configured, is_transient, reason_of
from broker.connection import ConnectionErrors
from broker.errors import AccessError, BrokerError
from mobility.settings import Settings

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.2

MISSING_SECONDS: Final = 3.0
"""How long a topic that the brokers do not know is asked for again.

They learn of a new topic, and after a restart of all topics, one after the other.
"""

_NO_ANSWER: Final = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001 - the public names of librdkafka's own errors
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    }
)


class ClusterAdmin:
    """A client for requests about the cluster and its topics."""

    def __init__(self, settings: Settings) -> None:
        """Open it; raises AccessError for a configuration that librdkafka refuses."""
        self._settings = settings
        self._errors = ConnectionErrors(settings)
        config = client_config(settings, "mobility-admin") | {"error_cb": self._errors.note}
        self.client = configured(AdminClient, settings, config)

    def answer(self, request: "Future[T]", access: Access | None = None) -> T:
        """Return the answer to a request of the client.

        Raises AccessError as soon as it is clear that no broker takes this client, or where the
        client may not do this; KafkaException where none answers, or the answer is an error.
        """
        while not request.done():  # each ends, by its own time limit
            self.client.poll(_POLL_SECONDS)  # it handles reports of errors
            if refusal := self._errors.refusal():
                raise refusal
        try:
            return request.result()
        except KafkaException as error:
            if access is not None and is_denied(error.args[0]):
                raise AccessError(denial(self._settings, access, error.args[0])) from error
            if error.args[0].code() in _NO_ANSWER and (reason := self._errors.reason()):
                raise reason from error
            raise

    def ask(self, request: "Callable[[], Future[T]]", access: Access | None = None) -> T:
        """Return the answer to a request, which is made again where its error may pass by itself.

        Raises as `answer`, after at most 15 s, and where a topic is missing after 3 s.
        """
        began = time.monotonic()
        while True:
            try:
                return self.answer(request(), access)
            except KafkaException as error:
                limit = MISSING_SECONDS if is_missing(error) else ANSWER_SECONDS
                if not is_transient(error.args[0]) or time.monotonic() - began > limit:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def topic_config(self, topic: str, access: Access | None = None) -> dict[str, str]:
        """Return the configuration of a topic, by Kafka's names. Raises as `ask`."""
        described = self.ask(lambda: self.request_topic_config(topic), access)
        return {name: entry.value or "" for name, entry in described.items()}

    def request_topic_config(self, topic: str) -> "Future[dict[str, ConfigEntry]]":
        """Ask for the configuration of a topic; the answer comes later."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return self.client.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource]

    def log_in(self) -> str:
        """Return the id of the cluster, once a broker has let this client in.

        Raises AccessError, BrokerError.
        """
        try:
            described = self.ask(
                lambda: self.client.describe_cluster(request_timeout=ANSWER_SECONDS)
            )
            return str(described.cluster_id)
        except KafkaException as error:
            raise self.unavailable(reason_of(error)) from error

    def unavailable(self, why: str) -> BrokerError:
        """Return the error for a broker that does not answer."""
        return BrokerError(
            f"Kafka at {self._settings.kafka} (MOBILITY_KAFKA) does not answer: {why}"
            f"{self._errors.last_words()}. Is it running?"
        )


def is_missing(error: KafkaException) -> bool:
    """Tell whether the broker answered that it has no such topic."""
    return bool(error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART)
