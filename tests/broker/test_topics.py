"""Requests to a real broker about its topics and its cluster."""

import pytest
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.topics import cluster_id
from mobility.settings import Settings
from tests.dataflows.conftest import Hub
from tests.waiting import DEADLINE


@pytest.mark.services
def test_the_id_of_the_cluster(hub: Hub) -> None:
    """It is that of the cluster's metadata."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    expected = admin.list_topics(timeout=DEADLINE).cluster_id
    assert cluster_id(hub.settings) == expected


def test_a_cluster_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the address and the setting."""
    monkeypatch.setattr("broker.admin.ANSWER_SECONDS", 0.5)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 \(MOBILITY_KAFKA\) does not answer"):
        cluster_id(Settings(kafka="127.0.0.1:1"))
