"""Procrastinate on Postgres alone: every setting at its default."""

import os

from procrastinate import App, PsycopgConnector


def application(database_url: str) -> App:
    """Return an application with the task `noop`."""
    made = App(connector=PsycopgConnector(conninfo=database_url))

    @made.task(name="noop")
    async def noop(number: int) -> None:
        """Do nothing."""

    return made


if "DATABASE_URL" in os.environ:
    app = application(os.environ["DATABASE_URL"])
