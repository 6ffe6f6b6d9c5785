"""A simple service: FastAPI, a synchronous Redis client, one path per id."""

import argparse
from typing import Any

import redis
import uvicorn
from fastapi import FastAPI, HTTPException


def build(url: str, prefix: str) -> FastAPI:
    """Return the application; totals are hashes `<prefix><entity>:<id>`."""
    app = FastAPI()
    client = redis.Redis.from_url(url, decode_responses=True)

    @app.get("/metrics/{entity}/{entity_id}")  # type: ignore[untyped-decorator] # not installed here
    def metrics(entity: str, entity_id: str) -> dict[str, Any]:
        totals = client.hgetall(f"{prefix}{entity}:{entity_id}")
        if not totals:
            raise HTTPException(404, "unknown id")
        count, duration = int(totals["trip_count"]), float(totals["total_duration"])
        return {
            "entity": entity,
            "id": entity_id,
            "trip_count": count,
            "avg_duration": duration / count,
            "total_duration": duration,
            "total_distance": float(totals["total_distance"]),
            "total_revenue": float(totals["total_revenue"]),
            "start_time": totals["start_time"],
        }

    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--port", required=True, type=int)
    options = parser.parse_args()
    application = build(options.redis, options.prefix)
    uvicorn.run(application, host="127.0.0.1", port=options.port, access_log=False)


if __name__ == "__main__":
    main()
