"""How each figure of `muhurat bench queue` was counted, in words: part of what it prints."""

_DRAMATIQ = "dramatiq -p 2 -t 8 over Redis, a sync actor that does nothing; until the last message is acknowledged"
_LATENCY = "milliseconds from the call that rings or sends a single message to the first line of what it runs"
_TURNS = "ours and stock in turns, with gaps of 0.2 to 1 s before each"
_RATIO = "ours_per_s divided by that of the other, each the median of its interleaved rounds"

COUNTED = {
    "ours_per_s": (
        "2 processes of 8 places under the real door, an async step of the task `notify` that does nothing, on the "
        "migrated schema; executions of many users with their configurations and service rows, inserted and rung "
        "beforehand; until the last is settled, committed and acknowledged; then the rows are counted"
    ),
    "ours_sync_per_s": (
        "a sync Dramatiq actor that does nothing on our queue and workers: not of the table, so that it has no row; "
        "until the last message is acknowledged"
    ),
    "stock_per_s": f"{_DRAMATIQ}; every setting at its default; no record",
    "stock_prefetch_per_s": f"{_DRAMATIQ}; dramatiq_queue_prefetch=256; no record",
    "stock_recorded_per_s": (
        f"{_DRAMATIQ}; a middleware inserts a row before and updates it after, one psycopg connection a thread, each "
        "committed; then the rows are counted"
    ),
    "celery_per_s": (
        "celery worker -c 2, prefork, over Redis with results in Postgres through SQLAlchemy and psycopg; a task that "
        "does nothing; until every result is a committed row"
    ),
    "procrastinate_per_s": (
        "two procrastinate workers of concurrency 8; an async task that does nothing; from the commit of the jobs, "
        "deferred in one batch, until every job has succeeded"
    ),
    **{f"vs_{name}": _RATIO for name in ("stock", "stock_prefetch", "stock_recorded", "celery", "procrastinate")},
    "idle_p50_ms": f"{_LATENCY}; ours, the row being there already; 2 processes",
    "idle_p99_ms": f"{_LATENCY}; ours, the row being there already; 2 processes",
    "idle_p50_stock_ms": f"{_LATENCY}; stock Dramatiq at its defaults; 2 processes",
    "idle_p99_stock_ms": f"{_LATENCY}; stock Dramatiq at its defaults; 2 processes",
    "idle_p50_vs_stock": f"idle_p50_ms : idle_p50_stock_ms; {_TURNS}",
    "idle_p99_vs_stock": f"idle_p99_ms : idle_p99_stock_ms; {_TURNS}",
    "io_per_s": "one process of 64 places, a step that awaits a sleep of 100 ms; counted as ours_per_s",
    "io_share": "io_per_s : 640, which is 64 places divided by 100 ms",
    "redis_per_execution": (
        "commands that MONITOR shows from clients, those of a pipeline each for itself, those inside scripts not; all "
        "clients and a few looks of this bench, while executions run as for ours_per_s"
    ),
    "sql_per_execution": (
        "statements that Postgres logs under log_statement = all, from everybody but this bench, without BEGIN, COMMIT "
        "and ROLLBACK; in the same run"
    ),
    "quiet_alone_p50_ms": f"{_LATENCY} of 100 ms; one process of 8 places, share 4; one user alone",
    "quiet_alone_p99_ms": f"{_LATENCY} of 100 ms; one process of 8 places, share 4; one user alone",
    "quiet_beside_p50_ms": "the same beside a user with 10,000 such executions queued, on the same queue",
    "quiet_beside_p99_ms": "the same beside a user with 10,000 such executions queued, on the same queue",
    "noisy_p99": "quiet_beside_p99_ms : quiet_alone_p99_ms; all turns together, alone and beside in turns",
    "rss_first_mb": "resident memory of both worker processes after 10,000 executions",
    "rss_last_mb": "resident memory of both worker processes after all executions",
    "rss_growth": "rss_last_mb : rss_first_mb",
}
