"""Bytes by their SHA-256 in place of files: models, training data. A path column that means one holds `db:<sha256>`."""

import hashlib

from sqlalchemy import LargeBinary, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Name

PREFIX = "db:"


class ArtifactRow(Base):
    """Bytes by their SHA-256, so that no process needs another's disk."""

    __tablename__ = "artifacts"

    sha256: Mapped[Name] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Created]


class ArtifactRepository:
    """Queries over artefacts. They are shared: nothing of one user's belongs here."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def put(self, data: bytes) -> str:
        """Store bytes, once. Returns their SHA-256 as hex digits."""
        sha256 = hashlib.sha256(data).hexdigest()
        await self.session.execute(insert(ArtifactRow).values(sha256=sha256, data=data).on_conflict_do_nothing())
        return sha256

    async def get(self, sha256: str) -> bytes:
        """Return the bytes, unchecked."""
        return (await self.session.execute(select(ArtifactRow.data).where(ArtifactRow.sha256 == sha256))).scalar_one()
