"""Fan-outs: the executions of slots, of all their subscribers or of the next so many, made by one statement."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import OPEN, Peal
from db.halts import paused_sql
from db.service_status import ServiceStatusRepository
from trading.orders import LIVE

# A cursor behind every subscription.
LAST_ID = 2**63 - 1
# With a smaller share than this whoever may be rung is always counted under his lock; see `_CROWDED`.
_ROOMY_SHARE = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """One firing of a schedule as planned: what the rows of its fan-out are made of.

    day, as_of: whose data it is for. needs: JSON text of prerequisites or None; `$parameters` in it stands for the
    account's parameter set. missed: why the rows are made ended, for a slot that is past its use. overlap: what becomes
    of an account whose earlier execution is not over. jitter_seconds, spread_seconds: over which the rows' due times
    are laid. after, until: of which subscriptions, by their ids, the first excluded.
    """

    schedule_id: int
    task_name: str
    queue: str
    at: datetime
    day: date
    as_of: datetime
    useful_until: datetime
    needs: str | None
    missed: str | None = None
    scope: str = "account"
    condition: str | None = None
    overlap: str = "allow"
    jitter_seconds: int = 0
    spread_seconds: int = 0
    after: int = 0
    until: int = LAST_ID

    @property
    def kind(self) -> tuple[str, str | None, bool, bool, bool]:
        """What tells which statement makes its rows: slots of one kind are made by one."""
        return (
            self.scope,
            self.condition,
            self.task_name == "order_sync",
            self.overlap != "allow",
            bool(self.jitter_seconds or self.spread_seconds),
        )


@dataclass(frozen=True, slots=True)
class Delayed:
    """What is due later: executions by id, with the moments they are due."""

    task_name: str
    queue: str
    due: Sequence[tuple[int, datetime]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A committed piece of a slot: what to ring now or later, and where the next piece starts.

    What is over a user's share has no bell yet. last: no subscriber is behind it. made: executions that are new.
    """

    slot: Slot
    peal: Peal
    delayed: Delayed
    cursor: int
    last: bool
    made: int


# Asked of one account at a time; as EXISTS they would be joined, for which the planner might read a table whole.
_ONE = "(SELECT true FROM {} LIMIT 1) IS NOT NULL"
_CONDITIONS = {
    None: "true",
    "has_open_position": _ONE.format("positions p WHERE p.account_id = s.account_id AND p.closed_at IS NULL"),
    "has_live_order": _ONE.format(
        "orders o WHERE o.account_id = s.account_id AND o.status IN ("
        + ", ".join(f"'{state}'" for state in sorted(LIVE))
        + ")"
    ),
    "has_failed_order": _ONE.format(
        "orders o WHERE o.account_id = s.account_id AND o.status = 'failed' AND o.retry_until >= market_now()"
    ),
    "prices_missing": "(SELECT true FROM price_days d WHERE d.day = slot.day AND d.whole LIMIT 1) IS NULL",
}

_COLUMNS = {
    "schedule_id": "bigint", "after": "bigint", "until": "bigint", "task_name": "text", "queue": "text",
    "at": "timestamptz", "day": "date", "as_of": "timestamptz", "useful_until": "timestamptz", "needs": "text",
    "missed": "text", "overlap": "text", "jitter_seconds": "int", "spread_seconds": "int",
}  # fmt: skip
_SLOTS = (
    "slot AS MATERIALIZED (SELECT * FROM unnest("
    + ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _COLUMNS.items())
    + f") WITH ORDINALITY AS slot({', '.join(_COLUMNS)}, number))"
)

# Subscribers one by one in the order of their index, each with what is his: the planner takes row security for a filter
# that nearly nothing passes, and would read all users for it.
_SEEN = """
    seen AS MATERIALIZED (
        SELECT slot.number, s.* FROM slot CROSS JOIN LATERAL (
            SELECT s.id, s.user_id, s.account_id,
                   s.enabled AND (s.paused_until IS NULL OR s.paused_until <= (SELECT market_now())) AS fires
            FROM schedule_subscriptions s
            WHERE (s.schedule_id, s.id) > (slot.schedule_id, slot.after)
              AND (s.schedule_id, s.id) <= (slot.schedule_id, slot.until)
            ORDER BY s.schedule_id, s.id LIMIT :chunk) s)
"""
_SUBSCRIBERS = {
    "account": _SEEN
    + """,
    chunk AS MATERIALIZED (
        SELECT s.number, s.id, s.user_id, s.account_id, '' AS subject, coalesce(c.parameters, '') AS parameters
        FROM seen s
        CROSS JOIN LATERAL (
            SELECT v.service_running FROM service_status v WHERE v.user_id = s.user_id OFFSET 0) v
        LEFT JOIN LATERAL (
            SELECT c.strategy || ':' || c.parameter_hash AS parameters
            FROM user_trading_config c WHERE c.user_id = s.user_id OFFSET 0) c ON true
        WHERE {condition} AND ((s.fires AND v.service_running AND c.parameters IS NOT NULL) OR {regardless}))
    """,
    "parameters": """
    chunk AS MATERIALIZED (
        SELECT slot.number, 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id,
               c.strategy || ':' || c.parameter_hash AS subject, '' AS parameters
        FROM slot CROSS JOIN user_trading_config c
        JOIN service_status v ON v.user_id = c.user_id AND v.service_running
        WHERE {condition} GROUP BY slot.number, c.strategy, c.parameter_hash),
    seen AS (SELECT number, id, user_id FROM chunk)
    """,
    "shared": """
    chunk AS MATERIALIZED (
        SELECT slot.number, 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id, '' AS subject,
               '' AS parameters
        FROM slot WHERE {condition}),
    seen AS (SELECT number, id, user_id FROM chunk)
    """,
}

# Who has anything open in a queue, or stands in this chunk more than once. Whoever counts such a user's share holds
# him, by a statement of its own: only a later one sees what those who held him before have rung. Who has nothing open
# is not held: what others ring for him meanwhile is work that did not exist a moment ago.
_CROWDED = text(
    f"""
    WITH {_SLOTS}, {_SEEN},
    span AS MATERIALIZED (SELECT min(user_id) AS first, max(user_id) AS last FROM seen)
    SELECT user_id FROM seen JOIN (
        SELECT e.user_id FROM service_task_execution e
        WHERE e.user_id >= (SELECT first FROM span) AND e.user_id <= (SELECT last FROM span)
          AND e.queue = ANY(CAST(:queues AS text[])) AND e.is_open AND e.rung_at IS NOT NULL
        UNION
        SELECT e.user_id FROM service_task_execution e
        WHERE e.user_id >= (SELECT first FROM span) AND e.user_id <= (SELECT last FROM span)
          AND e.queue = ANY(CAST(:queues AS text[])) AND e.is_ringable) e USING (user_id)
    UNION
    SELECT user_id FROM seen GROUP BY user_id HAVING count(*) > 1
    """
)
_EVERYBODY = text(f"WITH {_SLOTS}, {_SEEN} SELECT DISTINCT user_id FROM seen")
# One that somebody else holds now is rung by a later look.
_HOLD = text(
    "SELECT user_id FROM service_status WHERE user_id = ANY(CAST(:crowded AS bigint[])) "
    "ORDER BY user_id FOR UPDATE SKIP LOCKED"
)

_LAID = """
    slot.at + make_interval(secs => round((
        (hashint8extended(chunk.account_id, 0) & 2147483647) / 2147483648.0 * slot.spread_seconds
        + (hashint8extended(chunk.account_id, extract(epoch FROM slot.at)::bigint) & 2147483647) / 2147483648.0
          * slot.jitter_seconds)::numeric, 3)::float8)
"""
# The earliest that is not over of the same schedule and account, before this slot.
_EARLIER = f"""
    LEFT JOIN LATERAL (
        SELECT e.id, e.scheduled_for FROM service_task_execution e
        WHERE slot.overlap <> 'allow' AND {{owner}} AND e.task_name = slot.task_name AND e.subject = chunk.subject
          AND e.schedule_id = slot.schedule_id AND e.as_of < slot.as_of AND {OPEN.format("e")}
        ORDER BY e.scheduled_for DESC LIMIT 1) earlier ON true
"""
_OWNERS = {True: "e.user_id = chunk.user_id AND e.account_id = chunk.account_id", False: "e.user_id IS NULL"}
_NO_EARLIER = "CROSS JOIN (SELECT NULL::bigint AS id, NULL::timestamptz AS scheduled_for) earlier"

# The rows of those who may be rung are made rung, as far as their share of the queue goes.
_FAN_OUT = """
    WITH {slots}, {subscribers}, {taken}
    drawn AS (
        SELECT slot.*, chunk.id, chunk.user_id, chunk.account_id, chunk.subject, chunk.parameters,
               {at} AS due, earlier.id AS earlier_id,
               CASE WHEN slot.missed IS NOT NULL THEN slot.missed
                    WHEN slot.overlap = 'skip' AND earlier.id IS NOT NULL
                    THEN 'overlap: ' || earlier.id || ' of ' || earlier.scheduled_for || ' is not over' END AS skipped,
               CASE WHEN slot.overlap = 'queue' AND earlier.id IS NOT NULL
                    THEN coalesce(CAST(replace(slot.needs, '$parameters', chunk.parameters) AS jsonb), '[]')
                         || jsonb_build_array(jsonb_build_object(
                            'task', slot.task_name, 'subject', chunk.subject, 'account', false, 'repeats', true,
                            'after', earlier.scheduled_for, 'ends', earlier.id))
                    ELSE CAST(replace(slot.needs, '$parameters', chunk.parameters) AS jsonb) END AS waiting_for
        FROM slot JOIN chunk USING (number) {earlier}),
    placed AS (
        SELECT drawn.*, CASE
            WHEN drawn.skipped IS NOT NULL OR drawn.waiting_for IS NOT NULL OR {later} OR {paused} THEN NULL
            WHEN {has_room} THEN now() END AS rung_at
        FROM drawn {counted}),
    made AS (
        INSERT INTO service_task_execution
            (scheduled_for, task_name, user_id, account_id, subject, schedule_id, queue, status, waiting_for,
             useful_until, as_of, rung_at, reason, finished_at)
        SELECT p.due, p.task_name, p.user_id, p.account_id, p.subject, p.schedule_id, p.queue,
               CASE WHEN p.skipped IS NOT NULL THEN 'skipped'
                    WHEN p.waiting_for IS NULL THEN 'queued' ELSE 'waiting' END,
               p.waiting_for, p.useful_until, p.as_of, p.rung_at, left(p.skipped, 512),
               CASE WHEN p.skipped IS NOT NULL THEN now() END
        FROM placed p
        ON CONFLICT (task_name, user_id, account_id, subject, scheduled_for) DO NOTHING
        RETURNING id, schedule_id, scheduled_for, rung_at)
    SELECT slot.number, coalesce(seen.last, slot.after) AS last, coalesce(seen.count, 0) AS seen,
           coalesce(made.count, 0) AS made, made.ids, made.times
    FROM slot
    LEFT JOIN (SELECT number, max(id) AS last, count(*) FROM seen GROUP BY number) seen USING (number)
    LEFT JOIN (
        SELECT schedule_id, count(*), array_agg(id) FILTER (WHERE rung_at IS NOT NULL) AS ids,
               {times} AS times
        FROM made GROUP BY schedule_id) made USING (schedule_id)
    ORDER BY slot.number
"""
# Where somebody of a chunk is crowded everybody is counted.
_TAKEN = """
    taken AS MATERIALIZED (
        SELECT e.user_id, e.queue, count(*) AS places FROM service_task_execution e
        WHERE e.user_id >= (SELECT min(user_id) FROM chunk) AND e.user_id <= (SELECT max(user_id) FROM chunk)
          AND e.queue = ANY(CAST(:queues AS text[])) AND e.is_open AND e.rung_at IS NOT NULL
        GROUP BY e.user_id, e.queue),
"""
_COUNTED = """
    LEFT JOIN taken USING (user_id, queue)
    LEFT JOIN unnest(CAST(:crowded AS bigint[]), CAST(:held AS bool[])) AS crowded(user_id, held) USING (user_id)
"""
_HAS_ROOM = """
    (crowded.user_id IS NULL OR crowded.held) AND coalesce(taken.places, 0)
        + row_number() OVER (PARTITION BY drawn.user_id, drawn.queue ORDER BY drawn.number, drawn.id) <= :share
"""
_TIMES = "array_agg(scheduled_for) FILTER (WHERE rung_at IS NOT NULL)"

# What an earlier slot's execution of an account still does is over: whoever runs it is fenced.
_EARLIER_ONES = text(
    f"""
    WITH {_SLOTS}, {_SEEN}
    SELECT e.scheduled_for, e.id, slot.at FROM slot JOIN seen s USING (number) CROSS JOIN LATERAL (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.user_id = s.user_id AND e.task_name = slot.task_name AND e.account_id = s.account_id
          AND e.schedule_id = slot.schedule_id AND e.as_of < slot.as_of AND {OPEN.format("e")}
        OFFSET 0) e
    WHERE slot.overlap = 'cancel' AND slot.missed IS NULL ORDER BY e.id
    """
)
_CANCEL = text(
    """
    UPDATE service_task_execution e
    SET status = 'cancelled', generation = e.generation + 1, finished_at = now(),
        reason = 'overlap: the slot of ' || held.at || ' came before this was over'
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:ats AS timestamptz[]))
         AS w(scheduled_for, id, at)
    CROSS JOIN LATERAL (
        SELECT e.scheduled_for, e.id, w.at FROM service_task_execution e
        WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id AND e.is_open
        FOR UPDATE OF e) held
    WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    """
)

# The planner would rather read a table whole and sort than believe how little of it is asked for, and believes that a
# chunk has one row. What is looked up row by row is LATERAL and stays so.
_PLAIN = text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), "
    "set_config('enable_incremental_sort', 'off', true), set_config('enable_nestloop', 'off', true), "
    "set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true), "
    "set_config('enable_material', 'on', true), "
    "set_config('max_parallel_workers_per_gather', '0', true)"
)


class FanOutRepository:
    """Makes executions of slots. Needs the system scope.

    share: how many executions of one user may be rung in one queue; the others are made and not rung.
    """

    def __init__(self, session: AsyncSession, share: int) -> None:
        self.session, self.share = session, share

    async def make(self, slots: Sequence[Slot], chunk: int) -> list[Chunk]:
        """Insert the executions of the next subscribers of slots, so many of each; those that exist are left alone.

        slots: of different schedules. Returns one chunk a slot, in any order.
        """
        # A stop sees what is made here, or what is made here has seen the stop.
        await ServiceStatusRepository(self.session).hold_switches()
        by_kind: dict[object, list[Slot]] = defaultdict(list)
        for slot in slots:
            by_kind[slot.kind].append(slot)
        return [made for some in by_kind.values() for made in await self._make(some, chunk)]

    async def _make(self, slots: Sequence[Slot], chunk: int) -> list[Chunk]:
        scope, condition, is_sync, overlaps, is_laid = slots[0].kind
        values: dict[str, Any] = {name: [getattr(slot, name) for slot in slots] for name in _COLUMNS}
        if scope == "account":
            values["chunk"] = chunk
            if any(slot.overlap == "cancel" for slot in slots):
                await self._cancel(values)
        await self.session.execute(_PLAIN)
        queues = sorted({slot.queue for slot in slots})
        crowded, held = await self._hold(slots, values, queues)
        statement = _statement(scope, condition, is_sync, overlaps, is_laid, bool(crowded))
        if crowded:
            shares = {"crowded": crowded, "held": [one in held for one in crowded], "share": self.share}
            values |= {"queues": queues, **shares}
        rows = (await self.session.execute(statement, values)).all()
        return [_chunk(slot, row, chunk) for slot, row in zip(slots, rows, strict=True)]

    async def _cancel(self, values: dict[str, Any]) -> None:
        """End what of the same schedules and accounts is not over."""
        earlier = (await self.session.execute(_EARLIER_ONES, values)).all()
        if earlier:
            slots, ids, ats = zip(*earlier, strict=True)
            await self.session.execute(_CANCEL, {"slots": slots, "ids": ids, "ats": ats})

    async def _hold(
        self, slots: Sequence[Slot], values: dict[str, Any], queues: list[str]
    ) -> tuple[list[int], frozenset[int]]:
        """Return who of the subscribers has something open in these queues, and who of them is held now."""
        rings = [slot for slot in slots if slot.needs is None and slot.missed is None]
        if slots[0].scope != "account" or not rings:
            return [], frozenset()
        look = (_CROWDED, {**values, "queues": queues}) if self.share >= _ROOMY_SHARE else (_EVERYBODY, values)
        crowded = sorted((await self.session.execute(*look)).scalars())
        if not crowded:
            return [], frozenset()
        return crowded, frozenset((await self.session.execute(_HOLD, {"crowded": crowded})).scalars())


@cache
def _statement(
    scope: str, condition: str | None, is_sync: bool, overlaps: bool, is_laid: bool, is_crowded: bool
) -> TextClause:
    # Whatever stops, an account with live orders is looked after until they are final.
    regardless = _CONDITIONS["has_live_order"] if is_sync else "false"
    statement = _FAN_OUT.format(
        slots=_SLOTS,
        subscribers=_SUBSCRIBERS[scope].format(condition=_CONDITIONS[condition], regardless=regardless),
        at=_LAID if is_laid else "slot.at",
        earlier=_EARLIER.format(owner=_OWNERS[scope == "account"]) if overlaps else _NO_EARLIER,
        paused=paused_sql("drawn"),
        later="(drawn.due > drawn.at AND (SELECT speed IS NULL FROM market_clock))" if is_laid else "false",
        times=_TIMES if is_laid else "NULL::timestamptz[]",
        taken=_TAKEN if is_crowded else "",
        counted=_COUNTED if is_crowded else "",
        has_room=f"drawn.user_id IS NULL OR ({_HAS_ROOM})" if is_crowded else "true",
    )
    return text(statement)


def _chunk(slot: Slot, row: Any, chunk: int) -> Chunk:
    ids, last = row.ids or [], slot.scope != "account" or row.seen < chunk
    due: Iterable[tuple[int, datetime]] = zip(ids, row.times, strict=True) if row.times else ()
    later = [(id_, at) for id_, at in due if at > slot.at]
    delayed = {id_ for id_, _ in later}
    return Chunk(
        slot,
        Peal(slot.task_name, slot.queue, slot.at, [id_ for id_ in ids if id_ not in delayed] if delayed else ids),
        Delayed(slot.task_name, slot.queue, later),
        row.last,
        last,
        row.made,
    )
