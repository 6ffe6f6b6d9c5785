"""The channels of this process, one per entity, over one Redis."""

from api.live.change_stream import BLOCK_SECONDS, ChangeStream
from api.live.channel import Channel
from api.queries.redis_client import RedisServer
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings

_GRACE_SECONDS = 2.0


class LiveHub:
    """Connects at the first subscriber; a channel has one follower for all its subscribers."""

    def __init__(self, settings: Settings) -> None:
        # The timeout of a connection must be longer than a blocking read.
        seconds = BLOCK_SECONDS + _GRACE_SECONDS
        size = 2 * len(ENTITIES)
        self._server = RedisServer(settings.redis, size, seconds, decode_responses=False)
        keys = RedisKeys.of(settings)
        self.max_subscribers = settings.api_live_readers
        self.channels = {
            entity.name: Channel(
                ChangeStream(self._server, keys.live(entity), entity, settings.window_ms),
                entity.name,
            )
            for entity in ENTITIES
        }

    @property
    def is_full(self) -> bool:
        """Whether the maximum number of subscribers is connected."""
        subscribers = sum(channel.subscribers for channel in self.channels.values())
        return subscribers >= self.max_subscribers

    def channel(self, entity: Entity) -> Channel:
        """Return the channel of an entity."""
        return self.channels[entity.name]

    def drop_all(self) -> None:
        """Drop all subscribers: they reconnect to another process, or later."""
        for channel in self.channels.values():
            channel.drop_all()

    async def close(self) -> None:
        """Stop following the streams and close the connections."""
        for channel in self.channels.values():
            await channel.close()
        await self._server.close()
