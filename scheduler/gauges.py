"""How far behind the queue is: what Postgres and Redis say of it, read at one moment for whoever asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from db.gauges import GaugeRepository, RowGauges
from db.losses import LossRepository
from db.transaction import Database
from worker.bells.ringing import Bells, Leaks
from worker.messages import TASKS


@dataclass(frozen=True, slots=True)
class Gauges:
    """The gauges of the queue. leaks: by queue, those that have any; what moved meanwhile may be among them."""

    rows: RowGauges
    leaks: Mapping[str, Leaks]

    @property
    def unsettled(self) -> int:
        """Executions that run past their limit, or in the name of a worker that ended."""
        return self.rows.past_limit + self.rows.of_ended

    @property
    def leaked(self) -> int:
        """Messages in no place, and claims of nothing."""
        return sum(len(found.lost) + len(found.empty) for found in self.leaks.values())


async def gauges(database: Database, bells: Bells) -> Gauges:
    """Read every gauge; reads all that is open in Postgres, and Redis whole. Raises RedisError, SQLAlchemyError."""
    async with database.reading(None) as session:
        rows = await GaugeRepository(session).read({task.name: task.limit_seconds for task in TASKS.values()})
        living = await LossRepository(session).living()
    claimants = await bells.claimants()
    found = {queue: await bells.leaks(queue, workers | living) for queue, workers in claimants.items()}
    return Gauges(rows, {queue: leaks for queue, leaks in found.items() if leaks.lost or leaks.empty})
