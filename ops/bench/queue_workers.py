"""The real door of the workers, whose processes are those of the bench. Arguments and settings are the door's own."""

from worker.main import main

CHILD = "ops.bench.queue_child"

if __name__ == "__main__":
    raise SystemExit(main(CHILD))
