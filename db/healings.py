"""What the sweep put right, and when: a queue that heals in silence hides what is wrong with it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from db.base import Base, Created, Id, Json, Name

_RECORD = text(
    "INSERT INTO healings (kind, count, facts) SELECT h.kind, h.count, CAST(h.facts AS jsonb) FROM "
    "unnest(CAST(:kinds AS text[]), CAST(:counts AS int[]), CAST(:facts AS text[])) AS h(kind, count, facts)"
)
_SINCE = text(
    "SELECT id, kind, count, facts, at FROM healings WHERE at >= :since ORDER BY at DESC, id DESC LIMIT :limit"
)


class HealingRow(Base):
    """One kind of thing that one sweep put right. count: how many. facts: ids and names. at: machine time."""

    __tablename__ = "healings"
    __table_args__ = (Index(None, "at"),)

    id: Mapped[Id]
    kind: Mapped[Name]
    count: Mapped[int]
    facts: Mapped[Json | None]
    at: Mapped[Created]


class HealingRepository:
    """Queries over the log of healings. Needs the system scope to write."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def record(self, healed: Mapping[str, tuple[int, str | None]]) -> None:
        """Note what was healed: kind -> how many, and facts as JSON text."""
        found = {kind: one for kind, one in healed.items() if one[0]}
        if found:
            counts, facts = zip(*found.values(), strict=True)
            values = {"kinds": list(found), "counts": list(counts), "facts": list(facts)}
            await self.session.execute(_RECORD, values)

    async def since(self, moment: datetime, limit: int = 100) -> list[Any]:
        """Return what was healed since a machine time, the newest first."""
        return list((await self.session.execute(_SINCE, {"since": moment, "limit": limit})).all())
