"""Holds what a batch's rows add up to against what its source said, as often as anybody likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.import_sums import ImportSumsRepository

_HALF_A_PAISA = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class Measure:
    """One sum on both sides."""

    name: str
    source: Any
    database: Any
    agrees: bool


async def verify(session: AsyncSession, batch: Mapping[str, Any]) -> list[Measure]:
    """Return every sum of a batch as its source and as the database has it. batch: as its repository shows it."""
    sums = ImportSumsRepository(session, batch["user_id"], batch["id"])
    found = await sums.sums()
    measures = [_measure(name, value, found[name]) for name, value in batch["expected"].items() if name in found]
    earned, expected = found["earned_by_positions"], Decimal(batch["expected"].get("realized", "0"))
    agrees = abs(earned - expected) <= _HALF_A_PAISA * found["closed_positions"] + _HALF_A_PAISA
    measures.append(Measure("realized, by positions", expected, earned, agrees))
    otherwise = [
        Measure(f"shares of {row['symbol']}", row["tracked_quantity"], row["held"], agrees=False)
        for row in await sums.tracked_otherwise()
    ]
    return [*measures, *otherwise]


def _measure(name: str, source: object, database: Any) -> Measure:
    told = Decimal(str(source))
    return Measure(name, told, database, told == database)
