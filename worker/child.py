"""The door of one worker process: what `worker.process` is made of, with Dramatiq's worker around it.

Started by `worker.main`, which holds its lease; it ends when its parent does.
"""

import argparse
import gc
import os
import sys

import structlog
from dramatiq import Worker

from adapters.prices.base import PriceSourceError
from config.settings import read_settings, split_queues
from worker.ending import BROKEN, HEAR_SECONDS, LOG_SECONDS, REFUSED, StopSignal, die_with
from worker.log_writer import open_logs
from worker.process import Process

# New objects between two collections; a step makes some thousands, nearly all freed by their count.
GC_THRESHOLD = 20_000
# Dramatiq's threads run what is not of our table: a few are enough.
STOCK_THREADS = 2

log = structlog.get_logger(__name__)


def main() -> int:
    """Run until told to stop. Returns the exit code."""
    arguments = _arguments()
    stopping = StopSignal()
    die_with(arguments.parent)
    settings = read_settings()
    writer = open_logs(settings, f"worker {arguments.name}")
    try:
        process = Process(arguments.name, arguments.threads, settings)
        _serve(process, set(arguments.queues), stopping)
    except (PriceSourceError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        _exit(REFUSED)
    except BaseException:
        log.critical("worker_broken", worker=arguments.name, exc_info=True)
        _exit(BROKEN)
    log.info("worker_stopped", worker=arguments.name)
    writer.close(LOG_SECONDS)
    return 0


def _serve(process: Process, queues: set[str], stopping: StopSignal) -> None:
    idle_ms = int(HEAR_SECONDS * 1000)
    worker = Worker(process.broker, queues=queues, worker_threads=STOCK_THREADS, worker_timeout=idle_ms)
    if not stopping.has_come:
        _settle_memory()
        process.open()
        process.broker.emit_after("process_boot")
        worker.start()
        process.watch(worker)
        log.info("worker_ready", worker=process.ledger.worker, queues=sorted(queues), threads=process.room.places)
        stopping.wait()
    worker.stop(timeout=int(process.stop(worker) * 1000))
    process.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.child")
    parser.add_argument("--name", required=True)
    parser.add_argument("--queues", required=True, type=split_queues)
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--parent", required=True, type=int)
    return parser.parse_args()


def _exit(code: int) -> None:
    """End at once: the event loop's thread would keep a broken process alive, leased and idle."""
    sys.stdout.flush()
    os._exit(code)


def _settle_memory() -> None:
    """Keep what was imported out of every later collection: it never becomes garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


if __name__ == "__main__":
    raise SystemExit(main())
