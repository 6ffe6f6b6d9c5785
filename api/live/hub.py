"""The channels of this process, one an entity, over one Redis."""

from api.live.change_stream import BLOCK_SECONDS, ChangeLog
from api.live.channel import Channel
from api.queries.redis import client
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings

_GRACE_SECONDS = 2.0


class Hub:
    """Connects at the first reader; a channel follows over one connection, however many read."""

    def __init__(self, settings: Settings) -> None:
        # An answer that is waited for in vain is not one that does not come.
        seconds = BLOCK_SECONDS + _GRACE_SECONDS
        size = 2 * len(ENTITIES)
        self._redis = redis = client(settings.redis, size, seconds, decode_responses=False)
        keys = RedisKeys.of(settings)
        self.most = settings.api_live_readers
        self.channels = {
            entity.name: Channel(
                ChangeLog(redis, keys.live(entity), entity, settings.window_ms), entity.name
            )
            for entity in ENTITIES
        }

    @property
    def is_full(self) -> bool:
        """Whether as many read as may."""
        return sum(channel.readers for channel in self.channels.values()) >= self.most

    def channel(self, entity: Entity) -> Channel:
        """Return the changes of an entity."""
        return self.channels[entity.name]

    def end(self) -> None:
        """End all streams: their readers resume elsewhere, or later."""
        for channel in self.channels.values():
            channel.end()

    async def close(self) -> None:
        """Stop following and close the connections."""
        for channel in self.channels.values():
            await channel.close()
        await self._redis.aclose()
