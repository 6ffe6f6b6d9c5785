"""Further properties of librdkafka from the file MOBILITY_KAFKA_CONFIG.

None of them may undo what exactness needs, and none has a second way to be set.
"""

from collections.abc import Iterator
from typing import Final

from broker.errors import AccessError
from broker.librdkafka import invalid_properties
from broker.security import owner_of
from mobility.files import read_text
from mobility.settings import Settings

_OFFSETS: Final = "the position in the log is in the recovery folder, and nowhere else"
_GROUP: Final = "partitions are assigned by the flow, no group shares them out"
_ORDER: Final = "a retry must neither repeat nor reorder messages (idempotent producer)"
_OLD: Final = "the protocols of old brokers have no headers and no idempotent producer"
_PLACE: Final = "each id has its partition, where any other client looks for it too"
_LARGE: Final = "the largest messages of the topics must pass"
_CALLBACK: Final = "it is a part of the program, no text"

REFUSED: Final = {
    "bootstrap.servers": "set MOBILITY_KAFKA",
    "metadata.broker.list": "set MOBILITY_KAFKA",
    "security.protocol": "set MOBILITY_KAFKA_SECURITY",
    "sasl.mechanisms": "set MOBILITY_KAFKA_MECHANISM",
    "sasl.oauthbearer.method": "set MOBILITY_KAFKA_MECHANISM",
    "sasl.oauthbearer.client.credentials.client.id": "set MOBILITY_KAFKA_OAUTH_CLIENT_ID",
    "sasl.oauthbearer.client.credentials.client.secret": "set MOBILITY_KAFKA_OAUTH_CLIENT_SECRET",
    "queued.max.messages.kbytes": "set MOBILITY_FETCH_MEMORY_MB",
    "group.id": "set MOBILITY_CONSUMER_GROUP",
    "group.instance.id": _GROUP,
    "group.protocol": _GROUP,
    "group.protocol.type": _GROUP,
    "group.remote.assignor": _GROUP,
    "partition.assignment.strategy": _GROUP,
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "offset.store.method": _OFFSETS,
    "offset.store.path": _OFFSETS,
    "offset.store.sync.interval.ms": _OFFSETS,
    "auto.offset.reset": "a reader that retention has overtaken must be told",
    "enable.partition.eof": "it tells that a partition has been read to its end",
    "isolation.level": "what an aborted transaction wrote was never said",
    "topic.blacklist": "a topic that is not seen seems to be missing",
    "allow.auto.create.topics": "`just topics` creates topics, as they are declared",
    "enable.idempotence": _ORDER,
    "enable.gapless.guarantee": _ORDER,
    "max.in.flight": _ORDER,
    "max.in.flight.requests.per.connection": _ORDER,
    "retries": _ORDER,
    "message.send.max.retries": _ORDER,
    "queuing.strategy": _ORDER,
    "msg_order_cmp": _ORDER,
    "acks": "a message counts once all in-sync replicas have it",
    "request.required.acks": "a message counts once all in-sync replicas have it",
    "transactional.id": "the flow's producers take part in no transaction",
    "transaction.timeout.ms": "the flow's producers take part in no transaction",
    "partitioner": _PLACE,
    "partitioner_cb": _PLACE,
    "message.max.bytes": _LARGE,
    "receive.message.max.bytes": _LARGE,
    "delivery.report.only.error": "reports are how deliveries are checked",
    "enabled_events": _CALLBACK,
    "log.queue": _CALLBACK,
    "opaque": _CALLBACK,
    "default_topic_conf": _CALLBACK,
    "interceptors": _CALLBACK,
    "api.version.request": _OLD,
    "api.version.fallback.ms": _OLD,
    "broker.version.fallback": _OLD,
}
"""The properties that may not be set there, and why; callbacks (`*_cb`) may not be set either."""


def client_properties(settings: Settings) -> dict[str, str]:
    """Return the properties of the file, nothing where none is named.

    Raises AccessError with a line for each that may not be set, is unknown or has a wrong value.
    """
    if settings.kafka_config is None:
        return {}
    faults: list[str] = []
    try:
        properties = _parsed(read_text(settings.kafka_config), faults)
    except (OSError, UnicodeDecodeError) as error:
        properties = {}
        faults.append(f"the file can't be read: {error}")
    refused = {name: why for name in properties if (why := _refusal(name)) is not None}
    faults += [f"{name} may not be set: {why}" for name, why in refused.items()]
    faults += invalid_properties({n: v for n, v in properties.items() if n not in refused})
    if faults:
        raise AccessError("\n".join(f"{_file(settings)}: {fault}" for fault in faults))
    return properties


def _file(settings: Settings) -> str:
    return f"MOBILITY_KAFKA_CONFIG={settings.kafka_config}"


def _parsed(text: str, faults: list[str]) -> dict[str, str]:
    """Return names and values of `name=value` lines; `#` begins a line that is a comment."""
    properties: dict[str, str] = {}
    for number, line in _lines(text):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            # The line is not shown: it may hold a secret.
            faults.append(f"line {number}: expected name=value")
        elif name in properties:
            faults.append(f"line {number}: {name} is set twice")
        else:
            properties[name] = value
    return properties


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _refusal(name: str) -> str | None:
    # librdkafka takes each property of a topic with this prefix, too.
    name = name if name in REFUSED else name.removeprefix("topic.")
    if name.endswith("_cb"):
        return _CALLBACK
    variable = owner_of(name)
    return REFUSED.get(name) if variable is None else f"set {variable}"
