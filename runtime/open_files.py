"""The limit of open files of a process, which clients of Kafka need for connections and threads."""

import resource

from runtime.failures import RefusalError


def require_open_files(needed: int, reason: str) -> None:
    """Let this process open as many files as it needs; `reason` says what for.

    Raises RefusalError where the limit can't be raised so far: librdkafka would fail later, in the
    middle of the start, with an error of a broker or a partition.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _covers(soft, needed):
        return
    if not _covers(hard, needed):
        msg = (
            f"A process may open {hard} files here (`ulimit -Hn`), and {reason} needs {needed}.\n"
            f"Raise the limit before the start: `ulimit -n {needed}` as root, LimitNOFILE={needed} "
            f"of systemd, or `--ulimit nofile={needed}` of Docker."
        )
        raise RefusalError(msg)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _covers(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
