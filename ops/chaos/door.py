"""The real door of the workers, whose processes are the suite's. Arguments and settings are the door's own."""

from ops.chaos.ahead import move_clock

CHILD = "ops.chaos.child"


def main() -> int:
    """Run the door with the arguments of this process. Returns its exit code."""
    move_clock()  # before what looks at a clock is imported
    from worker.main import main as door

    return door(CHILD)


if __name__ == "__main__":
    raise SystemExit(main())
