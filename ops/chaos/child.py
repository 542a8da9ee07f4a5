"""A worker process whose tasks of the suite do what their subject says. All else in it is `worker.child`."""

from ops.chaos.ahead import move_clock
from ops.chaos.light import leave_out


def main() -> int:
    """Run as `worker.child` does. Returns the exit code."""
    # Both before anything is imported that they are about.
    move_clock()
    leave_out()
    from dataclasses import replace

    from ops.chaos.ordering import note_orders
    from ops.chaos.plans import BACKOFF_SECONDS, MOST_ATTEMPTS, TASKS_USED
    from ops.chaos.step import replaced
    from worker import actors, child
    from worker.messages import TASKS

    note_orders()
    for name in TASKS_USED:
        actors.STEPS[name] = replaced(actors.STEPS[name])
    for name in (*TASKS_USED, "submit", "order_sync"):
        TASKS[name] = replace(TASKS[name], attempts=MOST_ATTEMPTS, backoff_seconds=BACKOFF_SECONDS)
    return child.main()


if __name__ == "__main__":
    raise SystemExit(main())
