"""Names by which recovery state is found: a renamed step would start without state."""

import pickle
from typing import Any

import pytest

from dataflows import main, serving
from dataflows.items import ShardPartial
from dataflows.kafka_sink import KafkaSink, shard_key
from dataflows.windows import WindowLogic
from mobility.entities import BY_NAME, ENTITIES
from mobility.settings import Settings
from runtime.process import flow_context
from tests.dataflows.doubles import Clock, partial, shard_item
from tests.strategies import NOON

ALL = Settings(stores=("redis", "postgres"), enriched=tuple(BY_NAME))
STATEFUL = ("input", "output", "stateful_batch")


def stored_steps(flow: Any) -> set[str]:  # noqa: ANN401 - Bytewax's operators have no common type
    """Return the ids of the steps that keep state."""
    return {step.step_id for step in flow.substeps if type(step).__name__ in STATEFUL}


def test_the_steps_of_main() -> None:
    """Step ids are the keys of recovery state; the sink of the stores has one name and no state."""
    each = {
        f"mobility_hub.{step.format(entity.name)}"
        for entity in ENTITIES
        for step in ("{}_windows", "aggregated_{}", "enriched_{}", "postgres_redis_{}")
    }
    once = {"trips_stream", "quiet", "trips_late", "trips_dlq", "punctuations"}
    assert stored_steps(main.build(flow_context("main", ALL))) == each | {
        f"mobility_hub.{step}" for step in once
    }


def test_the_steps_of_serving() -> None:
    """The serving flow has an input, an output of dead letters and the stores for each entity."""
    steps = ("aggregated_{}", "dlq_{}", "postgres_redis_{}")
    assert stored_steps(serving.build(flow_context("serving", ALL))) == {
        f"mobility_serving.{step.format(entity.name)}" for entity in ENTITIES for step in steps
    }


def test_fewer_outputs_rename_no_step() -> None:
    """Steps of outputs that are not configured are absent; the others keep their names."""
    assert stored_steps(main.build(flow_context("main", Settings()))) < stored_steps(
        main.build(flow_context("main", ALL))
    )


@pytest.mark.parametrize("shards", [1, 4, 11, 101])
def test_shard_keys_sort_by_number(shards: int) -> None:
    """Bytewax sorts the partitions of a sink: `part_fn` must return an index of the sorted list."""
    sink: KafkaSink[object] = KafkaSink(Settings(shards=shards), None, lambda _: ())  # type: ignore[arg-type]  # nothing is sent
    parts = sorted(sink.list_parts())
    assert [sink.part_fn(part) for part in parts] == list(range(shards))
    assert shard_key(7) == "0007"


def test_window_state_is_plain_values_with_these_keys() -> None:
    """State is read after classes were renamed: the pickle contains no class of this project."""
    logic = WindowLogic(BY_NAME["driver"], Settings(), None, Clock())
    logic.on_batch([ShardPartial(0, shard_item(None, NOON).updates, partial(("a", NOON)))])
    state = logic.snapshot()
    assert {key: type(value) for key, value in state.items()} == {
        "version": int,
        "totals": list,
        "pending": list,
        "closed": list,
    }
    assert [type(run) for run in state["pending"]] == [bytes]
    assert b"dataflows" not in pickle.dumps(state)
