"""Slots of keys, as the cluster specification has them, and ranges of slots."""

from binascii import crc_hqx
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_cluster.connection import masters
from redis_cluster.slots import SLOTS, cover_all, hash_tag, ranges, slot_of, slots_of

TEXTS = st.text(st.sampled_from("ab{}é:1"), max_size=8)


def specified(key: str) -> int:
    """Return the slot by the rule of the specification, bit by bit."""
    data = key.encode()
    start = data.find(b"{")
    end = data.find(b"}", start + 1) if start >= 0 else -1
    if end > start + 1:
        data = data[start + 1 : end]
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc % SLOTS


def test_vectors() -> None:
    """The check value of CRC16/XMODEM, and slots that the documentation of Redis shows."""
    assert crc_hqx(b"123456789", 0) == 0x31C3
    assert (slot_of("foo"), slot_of("bar"), slot_of("hello")) == (12182, 5061, 866)
    assert slot_of("{user1000}.following") == slot_of("{user1000}.followers")


@given(prefix=TEXTS, ids=st.lists(TEXTS, max_size=5))
def test_slots_of_a_column(prefix: str, ids: list[str]) -> None:
    """Each is that of the whole key, also with hash tags in the prefix, the id, or across both."""
    assert slots_of(prefix, ids) == [specified(prefix + each) for each in ids]


@pytest.mark.parametrize("slot", [0, 1, 5_460, SLOTS - 1])
def test_a_hash_tag_leads_to_its_slot(slot: int) -> None:
    """Whatever comes after it."""
    assert slot_of(f"{{{hash_tag(slot)}}}sequence:driver") == slot


@pytest.mark.parametrize("parts", [[5], [1, 2, 9], [100, 101, 16_382]])
def test_ranges(parts: list[int]) -> None:
    """They name each slot once; together with the others they are all."""
    edges = [0, *parts, SLOTS]
    runs = [range(*pair) for pair in pairwise(edges)]
    own, others = ranges(runs[::2]), ranges(runs[1::2])
    assert cover_all(frozenset({own, others}))
    assert not cover_all(frozenset({own}))
    assert not cover_all(frozenset({others, ""}))
    assert own.startswith("0")


def test_the_masters_that_a_client_knows() -> None:
    """Sections of slots that go on are one; a slot that has moved is in none of the old ones."""
    one, two = (SimpleNamespace(host="h", port=port) for port in (1, 2))
    cache = {slot: [one if slot < 8_000 else two] for slot in range(SLOTS)} | {4_000: [two]}
    nodes: Any = SimpleNamespace(slots_cache=cache)
    found = {each.port: each for each in masters(nodes)}
    assert found[1].slots == "0-3999,4001-7999"
    assert found[2].slots == "4000,8000-16383"
    assert [slot_of(f"{{{found[port].tag}}}") for port in (1, 2)] == [7_999, SLOTS - 1]
    del cache[16_383]
    assert {each.slots for each in masters(nodes)} == {"0-3999,4001-7999", "4000,8000-16382"}
