"""Tables are replaced amid crashes, and each offset is judged by one of them."""

import random
import time
from pathlib import Path

import msgspec
import polars as pl
import pytest

from runtime.rules_journal import read_journal
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.tenant import new_tenant
from tests.chaos.trip_stream import TripMix

pytestmark = pytest.mark.chaos

_VEHICLES = ("car", "bike", "scooter")


def write_drivers(path: Path, rng: random.Random) -> None:
    """Replace the table: every driver gets another vehicle type."""
    ids = [f"d{number}" for number in range(TripMix().drivers)]
    rows = pl.DataFrame({"driver_id": ids, "vehicle_type": rng.choices(_VEHICLES, k=len(ids))})
    rows.write_parquet(path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def test_tables_replaced_amid_crashes(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """After a crash the copy in force stays; after a graceful stop the new one counts from there.

    A third of the ends is graceful; before each start the table is another one.
    """
    ends, stops = {"quick": 6, "full": 30}[rounds], 0
    drivers = tmp_path / "drivers.parquet"
    write_drivers(drivers, rng)
    with new_tenant(services_to_kill.settings, tmp_path, drivers=str(drivers)) as tenant:
        flow = tenant.flow
        with tenant.producer(rng.random()) as producer:
            for number in range(ends):
                flow.start()
                flow.wait_until_read(rng.randrange(1, 2_000))
                time.sleep(rng.uniform(0, 1.2))  # anywhere in an epoch and its commits
                if number % 3 == 1:
                    assert flow.stop()[0] == 0
                    stops += 1
                else:
                    flow.kill()
                write_drivers(drivers, rng)
        flow.run_to_end()
        assert len(read_journal(flow.recovery)) == 1 + stops
        settings = msgspec.structs.replace(tenant.settings, recovery_dir=str(flow.recovery))
        expected = assert_exact(settings, producer)
    report_figure(
        f"{ends} ends, {stops} of them graceful, as many tables; "
        f"{expected.windows.height} windows, 0 differ"
    )
