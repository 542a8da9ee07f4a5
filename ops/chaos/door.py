"""The real door of the workers, `python -m worker.main`, whose processes are the suite's."""

import runpy
from typing import Any

from ops.chaos.ahead import move_clock

CHILD = "ops.chaos.child"


def main() -> None:
    """Run the door with the arguments of this process."""
    move_clock()
    from worker import supervisor

    class ChaosSupervisor(supervisor.Supervisor):
        """Starts the suite's worker processes."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.child = CHILD

    supervisor.Supervisor = ChaosSupervisor  # type: ignore[misc]  # what the door imports
    runpy.run_module("worker.main", run_name="__main__")


if __name__ == "__main__":
    main()
