"""External services: the environment sets their URLs, and nothing is started for them."""

import asyncio
from pathlib import Path

from stack.services import service_environ, start_services


def test_the_url_of_a_service_may_be_in_a_file(tmp_path: Path) -> None:
    """Only the variable that the caller set is set: two would contradict each other."""
    variables = {
        "MOBILITY_KAFKA": "kafka.example:9093",
        "MOBILITY_REDIS": "redis://:s3cret@redis.example/0",
        "MOBILITY_POSTGRES_FILE": "/run/secrets/postgres",
    }
    reports = asyncio.run(start_services(tmp_path / "state", variables))
    assert [report.set_by for report in reports] == list(variables)
    shown = "\n".join(map(str, reports))
    assert "set by MOBILITY_POSTGRES_FILE" in shown
    assert "s3cret" not in shown
    assert service_environ(reports) == {
        name: text for name, text in variables.items() if name != "MOBILITY_POSTGRES_FILE"
    }
