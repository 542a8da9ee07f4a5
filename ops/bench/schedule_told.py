"""How each figure of `muhurat bench schedule` was counted, in words: part of what it prints."""

from collections.abc import Collection

_RATIO = "per_s of the most subscribers divided by that of the other, each the median of its interleaved rounds"
_ALONE = "alone on the same servers, in a process of its own; the imports and 200 messages before are not counted"
_OWN_TIMES = (
    "schedules of one subscriber each, whose times (once, cron, open + so many seconds) lie in one hour of the market "
    "as 10,000 do, the clock of the market at 60 times the machine's pace; from the slot, by the machine's clock, to "
    "when its message was seen on Redis, where a look is taken every 10 ms"
)
_WIDE = "of one account schedule that is due, {} subscribers, one `python -m scheduler.main`, durable servers"

COUNTED = {
    "vs_send": _RATIO,
    "vs_celery": _RATIO,
    "vs_procrastinate": _RATIO,
    "stock_per_s": f"a loop of stock Dramatiq's actor.send(), every setting at its default; no record; {_ALONE}",
    "celery_per_s": f"a loop of Celery's apply_async over Redis, every setting at its default; no record; {_ALONE}",
    "procrastinate_per_s": f"Procrastinate's batch_defer in batches of 1,000, each committed; {_ALONE}",
    "linear": "seconds of the most subscribers : those of a tenth of them",
    "first_s": "seconds from the due time to the first message on Redis, with the most subscribers",
    "two_seconds": "as seconds of the most subscribers, with two schedulers",
    "two_schedulers": "two_seconds : the same with one, in turns",
    "duplicates": "executions and messages beyond one a subscriber, of all firings, those of two schedulers included",
    "rss_few_mb": "the most resident memory of a scheduler seen while it fires for 1,000 users, or for all if fewer",
    "rss_mb": "the most resident memory of a scheduler seen while it fires for the most users",
    "rss_growth": "rss_mb : rss_few_mb",
    "late_p50_s": _OWN_TIMES,
    "late_p99_s": _OWN_TIMES,
    "late_most_s": _OWN_TIMES,
    "idle_statements_per_hour": (
        "statements that Postgres logs under log_statement = all, from everybody but this bench, without BEGIN, COMMIT "
        "and ROLLBACK, while one scheduler is up and nothing is due; all services run; idle_seconds, scaled"
    ),
    "idle_cpu_seconds_per_hour": "user and system time of that scheduler in the same span, scaled",
}

_OF_A_SIZE = {
    "seconds": "seconds from the due time until all executions are committed, all messages on Redis, the slot over;",
    "per_s": "subscribers divided by these seconds;",
    "first_s": "seconds from the due time to the first message on Redis;",
    "last_s": "seconds from the due time to the last message on Redis;",
}


def counted(figures: Collection[str]) -> dict[str, str]:
    """Return how figures were counted, by name; what counts for itself has no text."""
    told = {name: text for name, text in COUNTED.items() if name in figures}
    for name in figures:
        kind, _, users = name.rpartition("_")
        if kind in _OF_A_SIZE and users.isdigit():
            told[name] = f"{_OF_A_SIZE[kind]} {_WIDE.format(f'{int(users):,}')}"
    return told
