"""Celery over Redis with its results in Postgres: every setting at its default."""

import os

from celery import Celery


def application(redis_url: str, database_url: str, database: int = 0) -> Celery:
    """Return an application with the task `noop`. redis_url: of a socket, as redis-py takes it. database: of Redis."""
    broker = redis_url.replace("unix://", "redis+socket://", 1) + f"?virtual_host={database}"
    results = database_url.replace("postgresql://", "db+postgresql+psycopg://", 1)
    made = Celery("bench", broker=broker, backend=results, set_as_current=False)

    made.task(_noop, name="noop")
    return made


def _noop(_number: int) -> None:
    """Do nothing."""


if "REDIS_URL" in os.environ:
    app = application(os.environ["REDIS_URL"], os.environ["DATABASE_URL"])
