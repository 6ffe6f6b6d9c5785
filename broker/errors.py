"""What can go wrong with Kafka, as errors whose messages say what happened and what to do."""


class BrokerError(RuntimeError):
    """Kafka does not answer, or a topic can't be read."""


class MissingTopicError(BrokerError):
    """There is no such topic."""


class AccessError(BrokerError):
    """Kafka refuses the client, or the client its configuration: another attempt would fail too."""


class DeletedOffsetsError(BrokerError):
    """Retention deleted messages before they were read."""


class DeliveryError(RuntimeError):
    """Kafka refused messages or did not acknowledge them in time."""


class DeliveryDeniedError(DeliveryError, AccessError):
    """Kafka does not let the client write there."""


class RegistryError(BrokerError):
    """The schema registry does not answer."""


class StopRequestedError(RuntimeError):
    """What was waited for can't be had, and this process was asked to stop."""
