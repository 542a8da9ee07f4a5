"""The real door of the workers, whose processes are those of the bench. Arguments and settings are the door's own."""

from functools import partial

from worker import main as door
from worker.supervisor import Supervisor

CHILD = "ops.bench.queue_child"

if __name__ == "__main__":
    door.Supervisor = partial(Supervisor, child=CHILD)  # type: ignore[assignment, attr-defined]
    raise SystemExit(door.main())
