"""Schedules: when each is due, the claim of a due one and the chunks of its fan-out. Who subscribes: subscriptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Label, Line, Moment, Name, Word
from db.executions import Bell
from trading.calendar import Calendar
from trading.errors import BadTrigger, CalendarUncovered
from trading.orders import LIVE
from trading.triggers import next_due, parse_trigger


class ScheduleRow(Base):
    """When a task fires, for whom, by which policies, and how far its current fan-out has come.

    grace_seconds: after which a firing that is late is made of skipped rows; None: while it is useful. useful_seconds:
    from the slot on; None: as the task's plan says. catch_up, overlap: what becomes of slots that were missed, and of
    one whose predecessor is not over. jitter_seconds, spread_seconds: over which a slot's executions are laid, by
    chance and evenly. runs: slots fired, max_runs: until when. base_id: the schedule whose time its subscribers
    replaced by this one. version: of what people set, each kept in `schedule_versions`.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("scope IN ('shared', 'parameters', 'account')", name="scope"),
        CheckConstraint("catch_up IN ('none', 'last', 'all')", name="catch_up"),
        CheckConstraint("overlap IN ('allow', 'skip', 'queue', 'cancel')", name="overlap"),
        CheckConstraint(
            "condition IN ('has_open_position', 'has_live_order', 'has_failed_order', 'prices_missing')",
            name="condition",
        ),
    )

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    task_name: Mapped[Name]
    trigger: Mapped[Label]
    description: Mapped[Line | None]
    scope: Mapped[Word]
    condition: Mapped[Name | None]
    exchange: Mapped[Word] = mapped_column(server_default="NSE")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    grace_seconds: Mapped[int | None]
    catch_up: Mapped[Word] = mapped_column(server_default="last")
    overlap: Mapped[Word] = mapped_column(server_default="allow")
    jitter_seconds: Mapped[int] = mapped_column(server_default="0")
    spread_seconds: Mapped[int] = mapped_column(server_default="0")
    useful_seconds: Mapped[int | None]
    starts_at: Mapped[Moment | None]
    ends_at: Mapped[Moment | None]
    max_runs: Mapped[int | None]
    runs: Mapped[int] = mapped_column(server_default="0")
    base_id: Mapped[Big | None] = mapped_column(ForeignKey("schedules.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    next_due_at: Mapped[Moment | None]
    firing_slot: Mapped[Moment | None]
    cursor: Mapped[Big] = mapped_column(server_default="0")
    claimed_by: Mapped[Name | None]
    claim_until: Mapped[Moment | None]
    updated_by: Mapped[Name | None]
    updated_at: Mapped[Created]
    created_at: Mapped[Created]


class SchedulePieceRow(Base):
    """A piece of a wide fan-out that one scheduler works on: subscriptions after an id, up to another.

    It is deleted in the transaction that makes its executions. Any scheduler takes over one whose claim has run out.
    """

    __tablename__ = "schedule_pieces"
    __table_args__ = (UniqueConstraint("schedule_id", "slot", "after"),)

    id: Mapped[Id]
    schedule_id: Mapped[Big] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    slot: Mapped[Moment]
    after: Mapped[Big]
    until: Mapped[Big]
    claimed_by: Mapped[Name]
    claim_until: Mapped[Moment]


class ScheduleVersionRow(Base):
    """What people had set of a schedule at each of its versions."""

    __tablename__ = "schedule_versions"

    schedule_id: Mapped[Big] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    definition: Mapped[Json]
    changed_by: Mapped[Name]
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class Slot:
    """One firing of a schedule as planned: what the rows of its fan-out are made of.

    day, as_of: whose data it is for. needs: JSON text of prerequisites or None; `$parameters` in it stands for the
    account's parameter set. missed: why the rows are made ended, for a slot that is past its use.
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


@dataclass(frozen=True, slots=True)
class Chunk:
    """A committed piece of a fan-out: the bells to ring now and where the next piece starts.

    What is over a user's share has no bell yet.
    """

    bells: Sequence[Bell]
    cursor: int
    last: bool


_CONDITIONS = {
    None: "true",
    "has_open_position": "EXISTS (SELECT FROM positions p WHERE p.account_id = s.account_id AND p.closed_at IS NULL)",
    "has_live_order": (
        "EXISTS (SELECT FROM orders o WHERE o.account_id = s.account_id AND o.status IN ("
        + ", ".join(f"'{state}'" for state in sorted(LIVE))
        + "))"
    ),
    "has_failed_order": (
        "EXISTS (SELECT FROM orders o WHERE o.account_id = s.account_id AND o.status = 'failed' "
        "AND o.retry_until >= market_now())"
    ),
    "prices_missing": "NOT EXISTS (SELECT FROM price_days d WHERE d.day = :day AND d.whole)",
}

_SUBSCRIBERS = {
    "account": """
        SELECT s.id, s.user_id, s.account_id, '' AS subject,
               coalesce(c.strategy || ':' || c.parameter_hash, '') AS parameters
        FROM schedule_subscriptions s
        JOIN service_status v ON v.user_id = s.user_id
        LEFT JOIN user_trading_config c ON c.user_id = s.user_id
        WHERE s.schedule_id = :schedule_id AND s.id > :cursor AND {condition}
          AND ((s.enabled AND v.service_running AND c.user_id IS NOT NULL) OR {regardless})
        ORDER BY s.id LIMIT :chunk""",
    "parameters": """
        SELECT 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id,
               c.strategy || ':' || c.parameter_hash AS subject, '' AS parameters
        FROM user_trading_config c JOIN service_status v ON v.user_id = c.user_id AND v.service_running
        WHERE {condition} GROUP BY c.strategy, c.parameter_hash""",
    "shared": """
        SELECT 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id, '' AS subject, '' AS parameters
        WHERE {condition}""",
}

# Whoever counts a user's share holds the user; one that somebody else holds now is rung by a later look.
_HOLD = """
    SELECT v.user_id FROM service_status v WHERE v.user_id IN (SELECT chunk.user_id FROM ({subscribers}) chunk)
    FOR UPDATE OF v SKIP LOCKED
"""

# The rows of those who may be rung are made rung, as far as their share of the queue goes.
_FAN_OUT = """
    WITH chunk AS MATERIALIZED ({subscribers}),
    taken AS MATERIALIZED (
        SELECT e.user_id, count(*) AS places FROM service_task_execution e
        WHERE e.user_id >= (SELECT min(user_id) FROM chunk) AND e.user_id <= (SELECT max(user_id) FROM chunk)
          AND e.queue = :queue AND e.is_open AND e.rung_at IS NOT NULL
        GROUP BY e.user_id),
    placed AS (
        SELECT chunk.*, CASE
            WHEN CAST(:missed AS text) IS NOT NULL OR CAST(:needs AS text) IS NOT NULL THEN NULL
            WHEN chunk.user_id IS NULL THEN now()
            WHEN held.user_id IS NOT NULL
             AND coalesce(taken.places, 0) + row_number() OVER (PARTITION BY chunk.user_id ORDER BY chunk.id) <= :share
            THEN now() END AS rung_at
        FROM chunk LEFT JOIN taken USING (user_id)
        LEFT JOIN unnest(CAST(:held AS bigint[])) AS held(user_id) USING (user_id)),
    made AS (
        INSERT INTO service_task_execution
            (scheduled_for, task_name, user_id, account_id, subject, schedule_id, queue, status, waiting_for,
             useful_until, as_of, rung_at, reason, finished_at)
        SELECT :at, :task_name, placed.user_id, placed.account_id, placed.subject, :schedule_id, :queue,
               CASE WHEN CAST(:missed AS text) IS NOT NULL THEN 'skipped'
                    WHEN CAST(:needs AS text) IS NULL THEN 'queued' ELSE 'waiting' END,
               CAST(replace(CAST(:needs AS text), '$parameters', placed.parameters) AS jsonb),
               :useful_until, :as_of, placed.rung_at, CAST(:missed AS text),
               CASE WHEN CAST(:missed AS text) IS NOT NULL THEN now() END
        FROM placed ORDER BY placed.id
        ON CONFLICT DO NOTHING
        RETURNING id, rung_at)
    SELECT (SELECT max(id) FROM chunk) AS cursor, (SELECT count(*) FROM chunk) AS seen,
           (SELECT array_agg(id ORDER BY id) FROM made WHERE rung_at IS NOT NULL) AS ids
"""

_CLAIM_DUE = text(
    """
    UPDATE schedules SET claimed_by = :claimer, claim_until = now() + make_interval(secs => :seconds),
           firing_slot = coalesce(firing_slot, next_due_at)
    WHERE id IN (
        SELECT id FROM schedules
        WHERE enabled AND (firing_slot IS NOT NULL OR next_due_at <= market_now())
          AND (claim_until IS NULL OR claim_until < now())
        ORDER BY coalesce(firing_slot, next_due_at), id FOR UPDATE SKIP LOCKED)
    RETURNING id, task_name, trigger, scope, condition, firing_slot, cursor, market_now() AS market_now
    """
)


# What is due is fired by whoever sees it, and planned by the calendar there is then.
_TO_COME = text(
    """
    SELECT id, trigger, market_now() AS market_now,
           EXISTS (SELECT FROM market_clock WHERE speed IS NULL) AS replay
    FROM schedules WHERE exchange = :exchange AND next_due_at > market_now() ORDER BY id FOR UPDATE
    """
)
_PLAN_AGAIN = text("UPDATE schedules SET next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity') WHERE id = :id")


class ScheduleRepository:
    """Queries over schedules and subscriptions."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def seed(self, defaults: Sequence[dict[str, Any]]) -> None:
        """Store the default schedules that are not there yet."""
        await self.session.execute(insert(ScheduleRow).values(list(defaults)).on_conflict_do_nothing())

    async def plan(self, schedule_id: int, next_due_at: datetime | None) -> None:
        """Give a schedule without one its next due time; None: nothing is due."""
        await self.session.execute(
            text(
                "UPDATE schedules SET next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity') "
                "WHERE id = :id AND next_due_at IS NULL"
            ),
            {"id": schedule_id, "next": next_due_at},
        )

    async def replan(self, calendar: Calendar) -> None:
        """Plan by another calendar every schedule of its exchange whose due time is still to come, or never came."""
        for row in (await self.session.execute(_TO_COME, {"exchange": calendar.exchange})).all():
            try:
                after = next_due(parse_trigger(row.trigger), calendar, row.market_now, row.replay)
            except BadTrigger:
                continue  # it stays as it is: whoever fires it says what is wrong
            except CalendarUncovered:
                after = None
            await self.session.execute(_PLAN_AGAIN, {"id": row.id, "next": after})

    async def unplanned(self) -> list[ScheduleRow]:
        """Return enabled schedules that have no next due time, as after seeding."""
        query = select(ScheduleRow).where(ScheduleRow.enabled, ScheduleRow.next_due_at.is_(None))
        return list((await self.session.execute(query.with_for_update(skip_locked=True))).scalars())

    async def market_now(self) -> datetime:
        """Return market now."""
        now: datetime = (await self.session.execute(text("SELECT market_now()"))).scalar_one()
        return now

    async def claim_due(self, claimer: str, seconds: float) -> list[Any]:
        """Claim every schedule that is due or stuck in a fan-out whose claimer is gone, oldest slot first.

        seconds: of machine time.
        """
        claimed = await self.session.execute(_CLAIM_DUE, {"claimer": claimer, "seconds": seconds})
        return sorted(claimed.all(), key=lambda row: (row.firing_slot, row.id))

    async def fan_out(
        self, slot: Slot, scope: str, condition: str | None, cursor: int, chunk: int, share: int
    ) -> Chunk:
        """Insert the next subscribers' executions of a slot; those that exist already are left alone.

        share: how many executions of one user may be rung in one queue; the others are made and not rung.
        """
        # Whatever stops, an account with live orders is looked after until they are final.
        regardless = _CONDITIONS["has_live_order"] if slot.task_name == "order_sync" else "false"
        subscribers = _SUBSCRIBERS[scope].format(condition=_CONDITIONS[condition], regardless=regardless)
        parameters: dict[str, Any] = {"day": slot.day} if condition == "prices_missing" else {}
        if scope == "account":
            parameters |= {"schedule_id": slot.schedule_id, "cursor": cursor, "chunk": chunk}
        held: list[int] = []
        if scope == "account" and slot.needs is None and slot.missed is None:
            # By a statement of its own: only a later one sees what those who held a user before have rung.
            found = await self.session.execute(text(_HOLD.format(subscribers=subscribers)), parameters)
            held = list(found.scalars())
        parameters |= {
            "schedule_id": slot.schedule_id,
            "task_name": slot.task_name,
            "queue": slot.queue,
            "at": slot.at,
            "useful_until": slot.useful_until,
            "needs": slot.needs,
            "as_of": slot.as_of,
            "missed": slot.missed,
            "held": held,
            "share": share,
        }
        row = (await self.session.execute(text(_FAN_OUT.format(subscribers=subscribers)), parameters)).one()
        bells = [Bell(slot.task_name, slot.queue, slot.at, id_, 1) for id_ in row.ids or ()]
        return Chunk(bells, row.cursor or cursor, scope != "account" or row.seen < chunk)

    async def move_cursor(self, schedule_id: int, claimer: str, cursor: int, seconds: float) -> None:
        """Record that the pieces up to the cursor are committed and rung, and keep the claim."""
        await self.session.execute(
            text(
                "UPDATE schedules SET cursor = :cursor, claim_until = now() + make_interval(secs => :seconds) "
                "WHERE id = :id AND claimed_by = :claimer"
            ),
            {"id": schedule_id, "claimer": claimer, "cursor": cursor, "seconds": seconds},
        )

    async def finish(self, schedule_id: int, claimer: str, slot: datetime, next_due_at: datetime | None) -> None:
        """End a slot's fan-out and plan the next one; None: nothing more is due while the calendar ends there."""
        await self.session.execute(
            text(
                "UPDATE schedules SET firing_slot = NULL, cursor = 0, claimed_by = NULL, claim_until = NULL, "
                "next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity') "
                "WHERE id = :id AND claimed_by = :claimer AND firing_slot = :slot"
            ),
            {"id": schedule_id, "claimer": claimer, "slot": slot, "next": next_due_at},
        )

    async def next_moment(self) -> datetime | None:
        """Return the earliest moment at which a schedule or a queued follow-up becomes due, or a halt of tasks ends."""
        query = text(
            "SELECT least((SELECT min(next_due_at) FROM schedules WHERE enabled AND isfinite(next_due_at)), "
            # Of the few that are not rung the earliest; not of all in their order the first that is not rung.
            "(SELECT min(e.scheduled_for) FROM (SELECT scheduled_for FROM service_task_execution "
            "WHERE is_ringable OFFSET 0) e WHERE e.scheduled_for > market_now()), "
            # What is due and not rung waits for a halt to end.
            "(SELECT min(until) FROM halts WHERE ended_at IS NULL AND tasks AND until > market_now())) AS at"
        )
        moment: datetime | None = (await self.session.execute(query)).scalar_one()
        return moment
