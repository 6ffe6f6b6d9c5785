# One image for every part of the project; what runs is the command. It brings the packages of the
# project alone (requirements.runtime.lock): Kafka, Redis and Postgres have images of their own.
FROM python:3.12.12-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1

# A new volume takes over the owner and the mode of the folder that it is mounted on.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin mobility \
    && install --directory --mode=0700 --owner=mobility --group=mobility /state

WORKDIR /app
COPY requirements.runtime.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements.runtime.lock

COPY LICENSE ./
COPY mobility/ mobility/
COPY broker/ broker/
COPY postgres/ postgres/
COPY redis_cluster/ redis_cluster/
COPY runtime/ runtime/
COPY data/*.parquet data/
COPY producer/ producer/
COPY dataflows/ dataflows/
COPY sinks/ sinks/
COPY api/ api/

USER 10001:10001
CMD ["python", "-m", "api"]
