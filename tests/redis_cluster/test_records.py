"""What the records of all masters say together."""

import msgspec
import pytest

from mobility.settings import SettingsError, read_settings
from redis_cluster.connection import host_urls, is_cluster, node_url, other_hosts
from redis_cluster.records import FollowerRecord, combined


def record(number: int, slots: str, **fields: object) -> FollowerRecord:
    """Return the record of a master with two shards."""
    same = {"follows": "p", "shards": 2, "progress": {0: 10 * number, 1: 10 * number}} | fields
    return FollowerRecord(
        sequence={0: number, 1: number + 1},
        slots={0: slots, 1: slots},
        **same,  # type: ignore[arg-type] # fields of the record
    )


def test_the_lowest_number_holds() -> None:
    """Also of the watermarks."""
    found = combined([record(5, "0-8000"), record(3, "8001-16383")])
    assert (found.sequence, found.progress) == ({0: 3, 1: 4}, {0: 30, 1: 30})
    assert (found.follows, found.shards, found.number) == ("p", 2, 3)


@pytest.mark.parametrize(
    "other",
    [
        record(5, "8002-16383"),
        FollowerRecord(None, 0, {}, {}, {}),
        record(5, "8001-16383", follows="another"),
        record(5, "8001-16383", shards=3),
    ],
    ids=["a slot nobody names", "a master without one", "of another Postgres", "other shards"],
)
def test_what_is_not_known_counts_as_nothing(other: FollowerRecord) -> None:
    """Then Postgres answers."""
    assert combined([record(5, "0-8000"), other]).number == 0


def test_one_server_is_what_it_says() -> None:
    """It has no slots."""
    alone = FollowerRecord("p", 1, {0: 7}, {0: 70})
    assert combined([alone]) is alone


def test_urls_with_several_hosts() -> None:
    """Login and options are those of each."""
    url = "rediss://u:p,a@one:7000,two,[::1]:7002/0?ssl_cert_reqs=none"
    assert host_urls(url) == [
        "rediss://u:p,a@one:7000/0?ssl_cert_reqs=none",
        "rediss://u:p,a@two/0?ssl_cert_reqs=none",
        "rediss://u:p,a@[::1]:7002/0?ssl_cert_reqs=none",
    ]
    assert other_hosts(url) == [("two", 6379), ("::1", 7002)]
    assert node_url(url, "10.0.0.1", 5) == "rediss://u:p,a@10.0.0.1:5/0?ssl_cert_reqs=none"
    assert host_urls("unix:///run/redis.sock") == ["unix:///run/redis.sock"]


@pytest.mark.parametrize(
    ("url", "stores", "fault"),
    [
        ("redis://one:7000,two:7001/0", "redis,postgres", None),
        ("redis://one:7000,two:7001/0", "", None),
        ("redis://one:7000,two:7001/0", "redis", "can't be the only store"),
        ("redis://one,two/1", "redis,postgres", "has the database 0 only"),
        ("redis://one,,two", "redis,postgres", "has the database 0 only"),
        ("redis://one:99999,two", "redis,postgres", "expected redis://"),
    ],
)
def test_settings_with_several_hosts(url: str, stores: str, fault: str | None) -> None:
    """They are nodes of a cluster, which can only follow."""
    environ = {"MOBILITY_REDIS": url, "MOBILITY_STORES": stores}
    if fault is None:
        assert msgspec.structs.asdict(read_settings(environ))["redis"] == url
        return
    with pytest.raises(SettingsError, match=fault):
        read_settings(environ)


def test_what_a_server_says_of_itself() -> None:
    """HELLO answers with pairs, or with a map in RESP 3."""
    assert is_cluster([b"server", b"redis", b"proto", 2, b"mode", b"cluster", b"modules", []])
    assert is_cluster({"server": "valkey", "mode": "cluster"})
    assert not is_cluster(["server", "redis", "mode", "standalone"])
