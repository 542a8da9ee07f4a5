"""No statement of a repository reads a large table from end to end: each is explained on a database that is full."""

import asyncio
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

import db
from config.servers import ServerUrls
from db.base import USER_SCOPED
from db.engine import make_engine
from db.invariants import INVARIANTS, Span, check
from db.transaction import Database
from tests.db.filled import fill
from tests.db.plan_cases import OF_A_USER, OF_THE_SYSTEM, SMALL, USER, WHOLE, WITHOUT_USER, Call

# A table of fewer rows may be read whole: that is a few pages.
LARGE = 5_000
# These take everything from below before they give anything.
_READ_ON = {"Sort", "Aggregate", "Hash", "WindowAgg", "Hash Join", "ModifyTable"}
_OF_CASH = re.compile(r"\w+ Scan of (fills|cash_entries) in: ")
_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@pytest.fixture(scope="module")
def full(urls: ServerUrls) -> ServerUrls:
    return asyncio.run(fill(urls))


async def plans_of(session: AsyncSession, call: Call) -> list[tuple[str, dict[str, Any]]]:
    """Run a call, then return each statement it made with Postgres's plan for it."""
    connection, made = await session.connection(), await statements_of(session, call)
    return [(sql, await _plan(connection, sql, values)) for sql, values in made.items()]


async def statements_of(session: AsyncSession, call: Call) -> dict[str, Any]:
    """Run a call. Returns each statement it made that reads or writes rows, with its parameters."""
    connection = await session.connection()
    made: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        made.setdefault(statement, parameters[0] if many and parameters else parameters)

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    await call(session)
    await session.flush()
    event.remove(connection.sync_connection, "before_cursor_execute", note)
    return {sql: values for sql, values in made.items() if sql.lstrip().upper().startswith(_EXPLAINED)}


async def _plan(connection: AsyncConnection, statement: str, parameters: Any) -> dict[str, Any]:
    found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    return parsed(found.scalar_one())


def parsed(explained: Any) -> dict[str, Any]:
    """Return the plan that EXPLAIN gave as JSON."""
    plans: list[dict[str, Any]] = json.loads(explained) if isinstance(explained, str) else explained
    return dict(plans[0]["Plan"])


_NAMED = re.compile(r"\b(user_id|account_id)\b")


def _reads_rows_of_users(statement: str) -> bool:
    words = set(re.findall(r"(?:FROM|UPDATE|JOIN)\s+(\w+)", statement))
    return bool(words & (USER_SCOPED.keys() - {"users"}))


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def large_relations(session: AsyncSession) -> set[str]:
    query = text("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= :rows")
    return set((await session.execute(query, {"rows": LARGE})).scalars())


async def partial_indexes(session: AsyncSession) -> set[str]:
    """Return the indexes that hold the few rows of a predicate: to read one whole is what it is for."""
    query = text("SELECT relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indpred IS NOT NULL")
    return set((await session.execute(query)).scalars())


def unlimited(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes that no limit above them stops early; a sort or an aggregate reads on, limit or not."""
    stops = plan["Node Type"] == "Limit"
    for child in plan.get("Plans", ()):
        yield from _stopped(child) if stops else unlimited(child)
    yield plan


def _stopped(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in plan.get("Plans", ()):
        yield from unlimited(child) if plan["Node Type"] in _READ_ON else _stopped(child)


def whole_reads(plans: Sequence[tuple[str, dict[str, Any]]], large: set[str], partial: set[str]) -> list[str]:
    """Return what the plans read from end to end, of a table or of an index, with the statement that does."""
    return [
        f"{node['Node Type']} of {node['Relation Name']} in: {' '.join(statement.split())[:400]}"
        for statement, plan in plans
        for nodes_of, reads in ((nodes, _reads_table), (nodes, _looks_through_index), (unlimited, _reads_index))
        for node in nodes_of(plan)
        if node.get("Relation Name") in large and reads(node, partial)
    ]


def _reads_table(node: Mapping[str, Any], _: set[str]) -> bool:
    return bool(node["Node Type"] == "Seq Scan")


def _reads_index(node: Mapping[str, Any], partial: set[str]) -> bool:
    return _walks(node) and node["Index Name"] not in partial


def _walks(node: Mapping[str, Any]) -> bool:
    return node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node


def _looks_through_index(node: Mapping[str, Any], partial: set[str]) -> bool:
    """Tell whether a limit may not help: what passes the filter may be rare, or not there at all."""
    return _walks(node) and not _is_policy(node.get("Filter")) and node["Index Name"] not in partial


_POLICY = re.compile(r"\(+InitPlan \d+\)\.col1 = .system.::text\) OR \(\w+ = \(InitPlan \d+\)\.col1\)\)")


def _is_policy(condition: str | None) -> bool:
    """Tell whether a filter is none, or row security's alone: the system passes it with every row."""
    return condition is None or _POLICY.fullmatch(condition) is not None


@pytest.mark.parametrize(("calls", "user_id"), [(OF_A_USER, USER), (OF_THE_SYSTEM, None)], ids=["user", "system"])
async def test_repositories_read_large_tables_by_index(
    full: ServerUrls, calls: Mapping[str, Call], user_id: int | None
) -> None:
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    found = {}
    for name, call in calls.items():
        async with database.transaction(user_id) as session:
            large, partial = await large_relations(session), await partial_indexes(session)
            plans = await plans_of(session, call)
            await session.rollback()
        found[name] = whole_reads(plans, large, partial) if plans else ["the call made no statement"]
    await database.close()
    whole = [f"{name}: {read}" for name, reads in found.items() for read in reads]
    assert not whole, "\n".join(whole)


# Which of the executions' indexes a statement of the queue goes by. The keys of rows are always found by the first.
_BY_KEY = "pk_service_task_execution"
_RUNG, _RINGABLE, _RETRYING, _WAITING = (
    f"ix_service_task_execution_{kind}" for kind in ("rung", "ringable", "retrying", "waiting")
)
INTENDED: dict[str, set[str]] = {
    "FanOutRepository.make": {_RINGABLE, _RUNG, "uq_service_task_execution_identity"},
    "HandBackRepository.hand_back": {_BY_KEY},
    "HandBackRepository.interrupt": {_BY_KEY},
    "LedgerRepository.claim": {_BY_KEY},
    "LedgerRepository.notify": {_WAITING, _RINGABLE, _RUNG},
    "LedgerRepository.settle": {_BY_KEY},
    "LedgerRepository.standings": {_BY_KEY},
    "LossRepository.take_back": {_BY_KEY, _RUNG},
    "RingRepository.renew": {_BY_KEY},
    "RingRepository.retries": {_RETRYING},
    "RingRepository.rung": {_RUNG},
    "RingRepository.stuck": {_BY_KEY},
    "RingRepository.unrung": {_RINGABLE},
    "ShareRepository.ring_due": {_BY_KEY, _RINGABLE, _RUNG},
    "ShareRepository.ring_free": {_BY_KEY, _RINGABLE, _RUNG},
    "ShareRepository.ring_next": {_BY_KEY, _RINGABLE, _RUNG},
    "ShareRepository.ring_shared": {_BY_KEY, _RINGABLE},
    "SweepRepository.busy": {_RETRYING, _RINGABLE, _RUNG},
    "SweepRepository.end_late": {_BY_KEY},
    "SweepRepository.make_ready": {_BY_KEY, _WAITING, "uq_service_task_execution_identity"},
    "SweepRepository.outlook": {_RETRYING, _RINGABLE, _RUNG, _WAITING},
}


async def test_the_queues_statements_go_by_the_index_that_is_meant_for_them(full: ServerUrls) -> None:
    """A hundred thousand executions stand in one slot, most of them over, a sixth of them behind their user's share."""
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    found: dict[str, set[str]] = {}
    for name in INTENDED:
        async with database.transaction(None) as session:
            whole = await indexes_of(session)
            plans = await plans_of(session, OF_THE_SYSTEM[name])
            await session.rollback()
        used = {node.get("Index Name") for _, plan in plans for node in nodes(plan)}
        found[name] = {whole[index] for index in used if index in whole}
    await database.close()
    assert found == INTENDED


async def indexes_of(session: AsyncSession) -> dict[str, str]:
    """Return what the indexes of the slot's partition are called in the whole table."""
    query = text(
        "SELECT part.relname AS name, whole.relname AS whole FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid "
        "JOIN pg_class whole ON whole.oid = inhparent JOIN pg_index i ON i.indexrelid = inhrelid "
        "WHERE i.indrelid = 'service_task_execution_p20240101'::regclass"
    )
    return {row.name: row.whole for row in await session.execute(query)}


async def test_what_is_asked_for_a_user_names_the_user_or_an_account_of_his(full: ServerUrls) -> None:
    """Row security is the net, not the filter: without a name the planner cannot use an index on it."""
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    unnamed: dict[str, str] = {}
    for name, call in OF_A_USER.items():
        async with database.transaction(USER) as session:
            for statement, _ in await plans_of(session, call):
                if _reads_rows_of_users(statement) and not _NAMED.search(statement.partition("WHERE")[2]):
                    unnamed.setdefault(name, statement)
            await session.rollback()
    await database.close()
    assert {name for name in unnamed if name not in WITHOUT_USER} == set(), sorted(unnamed.items())


async def test_invariants_read_recent_rows_by_index(full: ServerUrls) -> None:
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    async with database.reading(None) as session:
        large, partial = await large_relations(session), await partial_indexes(session)
        # Of a slot that is halfway through half its month is open, and reading the month is right; but it could be less.
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plans = await plans_of(session, lambda s: check(s, Span(days=2, executions=1_000)))
    await database.close()
    assert len(plans) == len(INVARIANTS) + 1
    # A balance says nothing by itself: that one adds up every fill and every movement of money.
    reads = [read for read in whole_reads(plans, large, partial) if not _OF_CASH.match(read)]
    assert reads == []


async def test_a_scan_of_a_large_table_would_be_seen(full: ServerUrls) -> None:
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    async with database.reading(None) as session:
        large, partial = await large_relations(session), await partial_indexes(session)
        assert {
            "schedule_subscriptions",
            "orders",
            "fills",
            "positions",
            "notifications",
            "service_task_execution_p20240101",
        } <= large
        plans = await plans_of(session, lambda s: s.execute(text("SELECT count(*) FROM orders WHERE reason = 'x'")))
        assert len(whole_reads(plans, large, partial)) == 1
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plans = await plans_of(session, lambda s: s.execute(text("SELECT user_id FROM orders ORDER BY id")))
        assert [read.partition(" in: ")[0] for read in whole_reads(plans, large, partial)] == ["Index Scan of orders"]
        plans = await plans_of(session, lambda s: s.execute(text("SELECT user_id FROM orders ORDER BY id LIMIT 9")))
        assert whole_reads(plans, large, partial) == []
    await database.close()


def test_every_method_of_every_repository_is_explained_or_says_why_not() -> None:
    methods = {
        f"{name}.{method}"
        for module in pkgutil.iter_modules(db.__path__)
        for name, kind in inspect.getmembers(importlib.import_module(f"db.{module.name}"), inspect.isclass)
        if name.endswith("Repository") and kind.__module__ == f"db.{module.name}"
        for method, function in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not method.startswith("_")
    }
    known = {name.split(" ")[0] for name in (*OF_A_USER, *OF_THE_SYSTEM, *SMALL, *WHOLE)}
    missing = {name for name in methods if name not in known and name.split(".")[0] not in known}
    assert missing == set(), "add a line for each to tests/db/plan_cases.py"
    assert {name for name in known if "." in name} - methods == set(), "these are gone"
