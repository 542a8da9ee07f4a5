"""A connection whose transactions begin and say who looks in one round trip."""

from typing import Any

from asyncpg import Connection


class EnteringConnection(Connection):  # type: ignore[misc]  # asyncpg has no types
    """entry: a statement that the next transaction begins with, '' for none; it is sent together with its BEGIN.

    Should asyncpg ever begin a transaction by other words, the entry is not sent: row security shows nobody any row,
    and `Database` raises.
    """

    __slots__ = ("entry",)

    def __init__(self, *protocol: Any) -> None:
        super().__init__(*protocol)
        self.entry = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109  # as asyncpg
        """Execute as asyncpg does."""
        if self.entry and query.startswith("BEGIN"):
            return await self._enter(f"{query.rstrip(';')}; {self.entry}", timeout)
        said: str = await super().execute(query, *args, timeout=timeout)
        return said

    async def _enter(self, query: str, timeout: float | None) -> str:  # noqa: ASYNC109  # as asyncpg
        """Begin and enter. One that is begun and not entered is of no use to anybody, and neither is its connection."""
        self.entry = ""
        try:
            said: str = await super().execute(query, timeout=timeout)
        except BaseException:
            self.terminate()
            raise
        return said
