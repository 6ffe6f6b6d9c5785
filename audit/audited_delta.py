"""Delta Lake as the audit reads it: the windows of some ids, or of all. It keeps no totals."""

from collections.abc import Sequence

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from audit.audited_stores import (
    NO_WINDOWS,
    AuditedRange,
    EntityWatermarks,
    StoreContents,
    check_fingerprint,
    minimum_watermarks,
)
from audit.delta_windows import read_delta
from audit.window_sample import SAMPLE_SCHEMA
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings


class AuditedDelta:
    """Delta Lake as an audited store; every method reads the newest versions of the tables."""

    name = "Delta"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def progress(self) -> EntityWatermarks:
        """Return the recorded watermarks. Raises ValueError where the tables can't be read."""
        try:
            return minimum_watermarks(
                {entity.name: self._read_watermarks(entity) for entity in ENTITIES}
            )
        except DeltaError as error:
            msg = f"Delta at {self._settings.delta} can't be read: {str(error).splitlines()[0]}"
            raise ValueError(msg) from error

    def read(
        self,
        expected: pl.DataFrame,
        window_range: AuditedRange,
        entities: Sequence[Entity],
        *,
        all_ids: bool,
    ) -> StoreContents:
        """Return the windows in a range."""
        frames = [NO_WINDOWS]
        for entity in entities:
            windows = read_delta(self._settings, entity).filter(window_range.contains())
            if not all_ids:
                windows = windows.join(expected, on=["entity", "id"], how="semi")
            frames.append(windows.select(SAMPLE_SCHEMA.names()))
        return StoreContents(pl.concat(frames))

    def _read_watermarks(self, entity: Entity) -> list[int]:
        try:
            table = DeltaTable(f"{self._settings.delta}/{entity.name}")
        except TableNotFoundError:
            return []  # before the first start of a flow with this store
        fingerprint = table.metadata().configuration.get("mobility.fingerprint")
        check_fingerprint(self.name, fingerprint, self._settings)
        shards = table.transaction_version("mobility.shards") or 0
        found = (table.transaction_version(f"mobility.shard.{shard}") for shard in range(shards))
        return [watermark for watermark in found if watermark is not None]
