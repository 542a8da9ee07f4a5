"""What was put right since it was last written down."""

import json
from collections import defaultdict
from collections.abc import Collection

import structlog

from db.healings import HealingRepository
from db.transaction import Database

log = structlog.get_logger(__name__)

# Of many the first are enough to look at one.
_NAMED = 20


class Healed:
    """Counts by kind, with the first names of each. With Postgres away they are kept."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._names: dict[str, list[str | int]] = defaultdict(list)

    def note(self, kind: str, count: int, names: Collection[str | int] = ()) -> None:
        """Add what was healed; nothing is nothing. names: ids of executions or messages, or names of workers."""
        if count:
            self._counts[kind] += count
            self._names[kind] += list(names)[: _NAMED - len(self._names[kind])]

    async def write(self, database: Database) -> None:
        """Write what there is and begin anew."""
        if not self._counts:
            return
        found = {
            kind: (count, json.dumps({"first": self._names[kind]}) if self._names[kind] else None)
            for kind, count in self._counts.items()
        }
        async with database.transaction(None) as session:
            await HealingRepository(session).record(found)
        log.info("healed", **self._counts)
        for kind, (count, _) in found.items():
            self._counts[kind] -= count
            if not self._counts[kind]:
                del self._counts[kind]
            self._names.pop(kind, None)
