"""What a real broker answers about its topics and itself."""

import pytest
from confluent_kafka.admin import AdminClient

from broker.errors import BrokerError
from broker.topics import cluster_id
from mobility.settings import Settings
from tests.dataflows.conftest import Hub
from tests.waiting import DEADLINE


@pytest.mark.services
def test_the_id_of_the_cluster(hub: Hub) -> None:
    """The one that the metadata of the cluster has."""
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    expected = admin.list_topics(timeout=DEADLINE).cluster_id
    assert cluster_id(hub.settings) == expected


def test_no_cluster_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the address and the setting."""
    monkeypatch.setattr("broker.admin.ANSWER_SECONDS", 0.5)
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 \(MOBILITY_KAFKA\) does not answer"):
        cluster_id(Settings(kafka="127.0.0.1:1"))
