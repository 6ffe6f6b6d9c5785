"""Connects to the Redis that MOBILITY_REDIS names, and sees whether it is a cluster.

A URL may name several hosts, `redis://one:6379,two:6379`: nodes of a cluster, of which one that
answers is enough. One host may be a node of a cluster as well: the server says what it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from redis.asyncio.cluster import NodesManager as AsyncNodesManager
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, NodesManager, RedisCluster
from redis.retry import Retry

from redis_cluster.slots import SLOTS, hash_tag, ranges

DEFAULT_PORT: Final = 6379

_HOSTS: Final = re.compile(
    r"(?P<start>rediss?://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*)(?P<end>.*)", re.DOTALL
)
_HOST: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Master:
    """A master of a cluster: its address, and its slots, as text and as runs.

    `tag` is the hash tag of its highest slot: keys with it are on this master. The highest, because
    `redis-cli` moves the lowest ones first.
    """

    host: str
    port: int
    slots: str
    tag: str
    owned: tuple[range, ...] = field(default=(), compare=False, repr=False)


def host_urls(url: str) -> list[str]:
    """Return a URL for each host that a URL names.

    >>> host_urls("redis://:secret@one:7000,two/0")
    ['redis://:secret@one:7000/0', 'redis://:secret@two/0']
    """
    parts = _HOSTS.fullmatch(url)
    if parts is None:
        return [url]
    return [f"{parts['start']}{host}{parts['end']}" for host in parts["hosts"].split(",")]


def node_url(url: str, host: str, port: int) -> str:
    """Return a URL with another host, and with the login and the options that it has."""
    parts = _HOSTS.fullmatch(url)
    if parts is None:
        return url
    return f"{parts['start']}{f'[{host}]' if ':' in host else host}:{port}{parts['end']}"


def other_hosts(url: str) -> list[tuple[str, int]]:
    """Return the hosts of a URL but the first, with their ports."""
    parts = _HOSTS.fullmatch(url)
    found = [] if parts is None else map(_HOST.fullmatch, parts["hosts"].split(",")[1:])
    return [(each["host"].strip("[]"), int(each["port"] or DEFAULT_PORT)) for each in found if each]


def connect(url: str, **options: Any) -> redis.Redis | RedisCluster:  # noqa: ANN401 - redis-py's own
    """Return a client of a server, or of the cluster of which it is a part.

    It does not retry. Raises redis.RedisError where no host answers.
    """
    failure: redis.RedisError | None = None
    for each in host_urls(url):
        client = redis.Redis.from_url(each, retry=no_retry(), **options)
        try:
            if not asks_cluster(client):
                return client
        except (redis.ConnectionError, redis.TimeoutError) as error:
            failure = error
            client.close()
        else:
            client.close()
            return _connect_cluster(url, **options)
    raise failure or redis.ConnectionError(url)


def asks_cluster(client: redis.Redis) -> bool:
    """Return whether a server is a part of a cluster: it is asked."""
    try:
        return is_cluster(client.execute_command("HELLO"))  # type: ignore[no-untyped-call] # redis has no annotations there
    except redis.ResponseError:
        # It is older than Redis 6, or a proxy that does not know the command: one server.
        return False


def is_cluster(greeting: Mapping[Any, Any] | Sequence[Any]) -> bool:
    """Return whether a server, by its answer to HELLO, is a part of a cluster."""
    words = [
        each.decode() if isinstance(each, bytes) else each
        for each in (
            (word for pair in greeting.items() for word in pair)
            if isinstance(greeting, Mapping)
            else greeting
        )
    ]
    return "mode" in words and words[words.index("mode") + 1] == "cluster"


def masters(nodes: NodesManager | AsyncNodesManager) -> list[Master]:
    """Return the masters that have slots, as a client knows them."""
    owned: dict[tuple[str, int], list[range]] = {}
    known: Any = None
    start = 0
    for slot in range(SLOTS + 1):
        found = nodes.slots_cache.get(slot)
        if found is known and slot < SLOTS:
            continue
        if known:
            _append(owned.setdefault((known[0].host, int(known[0].port)), []), range(start, slot))
        known, start = found, slot
    return [
        Master(host, port, ranges(runs), hash_tag(runs[-1][-1]), tuple(runs))
        for (host, port), runs in owned.items()
    ]


def _append(runs: list[range], run: range) -> None:
    """Add a run of slots, to the last one where it goes on."""
    if runs and runs[-1].stop == run.start:
        run = range(runs.pop().start, run.stop)
    runs.append(run)


def no_retry() -> Retry:
    """Return the policy of a client whose callers decide what to do about a failure."""
    return Retry(NoBackoff(), 0)


def _connect_cluster(url: str, **options: Any) -> RedisCluster:  # noqa: ANN401 - redis-py's own
    first, *_ = host_urls(url)
    others = [
        ClusterNode(host, port)  # type: ignore[no-untyped-call] # redis has no annotations there
        for host, port in other_hosts(url)
    ]
    try:
        return RedisCluster.from_url(
            first, startup_nodes=others, retry=no_retry(), require_full_coverage=False, **options
        )
    except redis.exceptions.RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error
