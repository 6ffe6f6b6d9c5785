"""Topics and clusters as a real broker describes them."""

import pytest

from broker.errors import MissingTopicError
from broker.topic_setup import ensure_topics
from broker.topics import cluster_id, find_topic
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic

pytestmark = pytest.mark.services


def test_a_topic_has_its_partitions_and_an_id(tenant: Settings) -> None:
    """Both are the same at each request."""
    ensure_topics(tenant, topic_table(tenant)[:1])
    found = find_topic(tenant, trips_topic(tenant))
    assert found.partitions == tuple(range(tenant.partitions))
    assert found.id
    assert find_topic(tenant, trips_topic(tenant)) == found


def test_a_missing_topic_is_an_error(tenant: Settings) -> None:
    """It is not created by the request."""
    for _ in range(2):
        with pytest.raises(MissingTopicError):
            find_topic(tenant, trips_topic(tenant))


def test_a_cluster_has_an_id(services: Settings) -> None:
    """It is the same at each request."""
    assert cluster_id(services) == cluster_id(services) != ""
