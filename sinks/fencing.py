"""Fencing tokens: of two clusters on the same stores only the one that started last may write.

A token is one number for all stores, higher than every earlier one. It starts from the time in
epoch ms, so that a Redis which was emptied can't give out an old token again. The stores check it
in every transaction and commit
(https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

import time
from functools import partial

from mobility.settings import Settings
from sinks.fencing_tokens import take_in_all
from sinks.registry import store_kind
from sinks.retry import StopRequested, no_stop
from sinks.store import WriterRole


def take_fencing_token(
    settings: Settings,
    holder: str,
    writer: WriterRole | None = None,
    *,
    stop_requested: StopRequested = no_stop,
) -> int:
    """Take a token in every authority of the settings, and return it: it is the same in all.

    `holder` describes this cluster in messages: host, process id, start time, recovery folder. From
    now on the stores refuse processes with lower tokens; those of this start get this one as
    `Settings.fence`. Without stores the token is the time, and is stored nowhere. A follower gets
    it later: one may have been taken there if its clock is ahead, which a follower says.

    Raises StoreError, and takes no token, where a store can't be used, was filled with other
    settings, or, with a `writer`, is written to by another flow. Where another start would be
    refused as well, it is a StoreRefusedError.
    """
    holder = " ".join(holder.split())
    takes = [
        partial(
            store_kind(store).take_fencing_token,
            settings,
            holder,
            writer,
            stop_requested=stop_requested,
        )
        for store in settings.authorities
    ]
    return take_in_all(takes, time.time_ns() // 1_000_000)


def is_fenced(settings: Settings) -> bool:
    """Tell whether a cluster that was started later has taken a token in a store of the settings.

    Nothing waits or is repeated: raises StoreError where a store does not answer within seconds.
    """
    fence = settings.fence
    return fence is not None and any(
        store_kind(store).fencing_token(settings) > fence for store in settings.authorities
    )
