"""Executions that a person asks for besides the slots: an identity of their own, and nobody is asked twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import SETTLED_CHANNEL


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked for. at: the slot of the executions, market time. needs: as `waiting_for` has it, or None.

    subject: of an account's; what is shared keeps its own, by which others look for it. since: an execution of this
    work that is not over and is not older stands for it.
    """

    schedule_id: int
    task_name: str
    queue: str
    at: datetime
    as_of: datetime
    useful_until: datetime
    needs: str | None
    subject: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a page of subscribers. open: executions that do the work already. last: where the next begins."""

    made: Sequence[int]
    open: Sequence[int]
    seen: int
    last: int


_WHO = {
    "account": """
        SELECT s.id, s.user_id, s.account_id, CAST(:subject AS text) AS subject,
               coalesce(c.strategy || ':' || c.parameter_hash, '') AS parameters
        FROM schedule_subscriptions s JOIN service_status v ON v.user_id = s.user_id AND v.service_running
        JOIN user_trading_config c ON c.user_id = s.user_id
        WHERE s.schedule_id = :schedule_id AND s.id > :after AND s.enabled
          AND coalesce(s.paused_until <= market_now(), true)
          AND (CAST(:user_id AS bigint) IS NULL OR s.user_id = :user_id)
          AND (CAST(:accounts AS bigint[]) IS NULL OR s.account_id = ANY(CAST(:accounts AS bigint[])))
        ORDER BY s.id LIMIT :chunk""",
    "parameters": """
        SELECT 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id,
               c.strategy || ':' || c.parameter_hash AS subject, '' AS parameters
        FROM user_trading_config c JOIN service_status v ON v.user_id = c.user_id AND v.service_running
        WHERE CAST(:user_id AS bigint) IS NULL OR c.user_id = :user_id GROUP BY c.strategy, c.parameter_hash""",
    "shared": """
        SELECT 0::bigint AS id, NULL::bigint AS user_id, NULL::bigint AS account_id, '' AS subject, '' AS parameters""",
}
_MAKE = """
    WITH who AS MATERIALIZED ({who}),
    busy AS MATERIALIZED (
        SELECT who.id, who.subject, (
            SELECT e.id FROM service_task_execution e
            WHERE e.task_name = :task_name AND (e.user_id = who.user_id OR (e.user_id IS NULL AND who.user_id IS NULL))
              AND e.account_id IS NOT DISTINCT FROM who.account_id AND e.scheduled_for >= :since AND e.is_open
              AND (e.subject IN ('', who.subject) OR e.subject ~ '^(again|manual):') LIMIT 1) AS open_id
        FROM who),
    made AS (
        INSERT INTO service_task_execution
            (scheduled_for, task_name, user_id, account_id, subject, schedule_id, queue, status, waiting_for,
             useful_until, as_of)
        SELECT :at, :task_name, who.user_id, who.account_id, who.subject, :schedule_id, :queue,
               CASE WHEN CAST(:needs AS text) IS NULL THEN 'queued' ELSE 'waiting' END,
               CAST(replace(CAST(:needs AS text), '$parameters', who.parameters) AS jsonb), :useful_until, :as_of
        FROM who JOIN busy USING (id, subject) WHERE busy.open_id IS NULL ORDER BY who.id
        ON CONFLICT DO NOTHING RETURNING id)
    SELECT (SELECT array_agg(id ORDER BY id) FROM made) AS made,
           (SELECT array_agg(DISTINCT open_id) FROM busy WHERE open_id IS NOT NULL) AS open,
           (SELECT count(*) FROM who) AS seen, (SELECT max(id) FROM who) AS last,
           pg_notify('{channel}', '')
"""


class ManualRunRepository:
    """Makes executions on request. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def number(self) -> int:
        """Return a number that no other request has, for the subject `manual:<n>`."""
        drawn = text("SELECT nextval('service_task_execution_id_seq')")
        return int((await self.session.execute(drawn)).scalar_one())

    async def make(
        self,
        run: Run,
        scope: str,
        after: int,
        chunk: int,
        user_id: int | None = None,
        accounts: Sequence[int] | None = None,
    ) -> Asked:
        """Make the executions of the next subscribers of a schedule that are on, not paused and whose service runs.

        They are rung by the next sweep, as far as halts and their users' share let them. user_id, accounts: only
        theirs.
        """
        values = {
            "schedule_id": run.schedule_id,
            "task_name": run.task_name,
            "queue": run.queue,
            "at": run.at,
            "as_of": run.as_of,
            "useful_until": run.useful_until,
            "needs": run.needs,
            "since": run.since,
        }
        if scope == "account":
            values |= {
                "subject": run.subject,
                "after": after,
                "chunk": chunk,
                "user_id": user_id,
                "accounts": None if accounts is None else list(accounts),
            }
        if scope == "parameters":
            values |= {"user_id": user_id}
        statement = text(_MAKE.format(who=_WHO[scope], channel=SETTLED_CHANNEL))
        row = (await self.session.execute(statement, values)).one()
        return Asked(row.made or (), row.open or (), row.seen, row.last or after)
