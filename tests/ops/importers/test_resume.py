"""Imports that were interrupted, that break off, and that run twice at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.importers import reading
from ops.importers.command import Brought, Screen
from ops.importers.entry import Entry
from ops.importers.errors import ImportRaceError
from ops.importers.source import Found
from tests.ops.importers.old_databases import ASHA, ERA_B, order, position, sqlite_database
from tests.ops.importers.old_files import failed, holding, paper_order, sold, trade, write, write_paper
from tests.ops.importers.runs import bring, dump, essence, records, rows, somebody, sound, taken_back
from tests.people import scalar
from tests.waiting import until

_CHUNK = 4


class _PulledOutError(Exception):
    """Somebody pulled the plug."""


def _after(entries: int) -> Screen:
    """Return a screen at which the plug is pulled once so many entries were settled."""
    seen: list[Entry] = []

    def settled(_: Found, entry: Entry) -> None:
        seen.append(entry)
        if len(seen) == entries:
            raise _PulledOutError

    return Screen(settled=settled)


def _history(folder: Path) -> Path:
    """Write 13 records: sold, twice, refused, held, failed."""
    trades = [
        *(sold(f"D{number}", order_id=f"A{number}") for number in range(7)),
        sold("D3", order_id="A3"),
        sold("X", qty=0),
    ]
    held = [trade("H1"), trade("H2"), trade("D1", order_id="A2", entry_time="2024-01-12T10:00:00")]
    return write(folder, "trades_history.json", {"trades": [*trades, *held], "failed_orders": [failed()]})


def _paper(folder: Path) -> Path:
    orders = [paper_order(f"P{number}", f"B{number}") for number in range(6)]
    holdings = {f"P{number}": holding(f"P{number}") for number in range(6)}
    return write_paper(folder, orders=orders, holdings=holdings, account={"available_cash": 12_345.67})


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_CHUNK", _CHUNK)
    monkeypatch.setattr(reading, "CHUNK", _CHUNK)


async def _whole(database: Database, path: Path | str, kind: str) -> tuple[Brought, Mapping[str, Sequence[str]]]:
    """Return what an import without an interruption comes to, which is taken back."""
    brought = await bring(database, path, kind)
    essential = await essence(database)
    await taken_back(database, brought.done.batch_id)
    return brought, essential


@pytest.mark.parametrize("entries", [1, _CHUNK, _CHUNK + 1, 2 * _CHUNK + 2])
async def test_an_interrupted_import_goes_on_under_its_batch_and_ends_as_one_that_was_not(
    database: Database, tmp_path: Path, entries: int
) -> None:
    await somebody(database)
    path = _history(tmp_path)
    whole, essential = await _whole(database, path, "trades-history")
    with pytest.raises(_PulledOutError):
        await bring(database, path, screen=_after(entries))
    await sound(database)
    assert (
        await scalar(database, "SELECT max(done_records) FROM import_batches WHERE state = 'running'")
        == -(-entries // _CHUNK) * _CHUNK
    )
    brought = await bring(database, path)
    assert (brought.done.resumed, brought.done.batch_id) == (True, whole.done.batch_id + 1)
    assert brought.done.counts == whole.done.counts
    assert brought.done.sums == whole.done.sums
    assert await records(database, brought.done.batch_id) == await records(database, whole.done.batch_id)
    assert await essence(database) == essential
    assert all(one.agrees for one in brought.measures)


@pytest.mark.parametrize(
    "entries",
    [
        2,
        7,
    ],
)
async def test_an_interrupted_import_of_paper_files_sets_the_money_all_the_same(
    database: Database, tmp_path: Path, entries: int
) -> None:
    await somebody(database)
    whole, essential = await _whole(database, _paper(tmp_path), "paper-trading")
    with pytest.raises(_PulledOutError):
        await bring(database, tmp_path, "paper-trading", screen=_after(entries))
    brought = await bring(database, tmp_path, "paper-trading")
    assert brought.done.counts == whole.done.counts
    assert await scalar(database, "SELECT cash FROM broker_accounts") == Decimal("12345.67")
    assert await essence(database) == essential


async def test_an_interrupted_import_of_a_database_goes_on_under_its_batch(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    shares = [f"DEMO{number}" for number in range(1, 8)]
    old = {
        "users": [ASHA],
        "positions": [position(number, share) for number, share in enumerate(shares, start=1)],
        "orders": [order(number, share) for number, share in enumerate(shares, start=1)],
    }
    address = sqlite_database(tmp_path / "old.db", ERA_B, old)
    whole, essential = await _whole(database, address, "database")
    with pytest.raises(_PulledOutError):
        await bring(database, address, "database", screen=_after(_CHUNK + 1))
    brought = await bring(database, address, "database")
    assert (brought.done.resumed, brought.done.batch_id) == (True, whole.done.batch_id + 1)
    assert (brought.done.counts, brought.done.sums) == (whole.done.counts, whole.done.sums)
    assert await essence(database) == essential


async def test_an_interrupted_import_that_was_taken_back_begins_anew(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    before = await dump(database)
    with pytest.raises(_PulledOutError):
        await bring(database, _history(tmp_path), screen=_after(_CHUNK))
    await taken_back(database, 1)
    assert await dump(database) == before
    brought = await bring(database, tmp_path)
    assert (brought.done.resumed, brought.done.batch_id) == (False, 2)


async def test_of_two_imports_of_one_file_at_once_each_record_comes_in_once_and_somebody_is_told(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    path = _history(tmp_path)
    _, essential = await _whole(database, path, "trades-history")
    ended = await asyncio.gather(*(bring(database, path) for _ in range(2)), return_exceptions=True)
    told = [one for one in ended if isinstance(one, ImportRaceError)]
    brought = [one for one in ended if isinstance(one, Brought)]
    assert len(told) + len(brought) == 2
    assert len(brought) >= 1
    # Either the race was told, or the second found everything there.
    assert told or sum(one.done.counts["imported"] for one in brought) == 10
    await sound(database)
    assert await essence(database) == essential


def _between(settled: int, part: Callable[[Database], Awaitable[object]], urls: ServerUrls) -> Screen:
    """Return a screen at which something else happens once so many were settled: between two chunks."""
    seen: list[Entry] = []

    async def play() -> None:
        database = Database(make_engine(urls.sqlalchemy, pool_size=2))
        await part(database)
        await database.close()

    def told(_: Found, entry: Entry) -> None:
        seen.append(entry)
        if len(seen) == settled:
            with ThreadPoolExecutor() as thread:
                thread.submit(lambda: asyncio.run(play())).result()

    return Screen(settled=told)


async def test_what_another_import_brings_in_meanwhile_is_not_brought_in_again(
    database: Database, urls: ServerUrls, tmp_path: Path
) -> None:
    await somebody(database)
    trades = [sold(f"D{number}", order_id=f"A{number}") for number in range(3 * _CHUNK)]
    path = write(tmp_path / "all", "trades_history.json", trades)
    part = write(tmp_path / "part", "trades_history.json", [*trades[6:8], sold("ELSE", order_id="A9"), trades[10]])
    brought = await bring(database, path, screen=_between(_CHUNK, lambda beside: bring(beside, part), urls))
    assert sorted(await records(database, brought.done.batch_id)) == [
        ("[10]", "skipped", "there"), ("[6]", "skipped", "there"), ("[7]", "skipped", "there"),
        ("[9]", "error", "order_known"),
    ]  # fmt: skip
    assert all(one.agrees for one in brought.measures)
    assert await scalar(database, "SELECT count(*) FROM positions") == 3 * _CHUNK


async def test_what_was_traded_here_under_a_records_key_is_not_brought_in_and_says_so(
    database: Database, urls: ServerUrls, tmp_path: Path
) -> None:
    await somebody(database)
    path = write(tmp_path, "trades_history.json", [sold(f"D{number}", order_id=f"A{number}") for number in range(8)])
    traded = """INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key,
                    strategy, leg, rank, reference_price, as_of, session_day, config_version)
                SELECT user_id, account_id, 'D5', 'buy', 'market', 'amo', 1, 'cancelled', :key, 'dip', 'entry', 1, 1,
                       market_now(), '2024-01-16', 1 FROM orders LIMIT 1"""
    keys: list[str] = []

    async def trade_live(beside: Database) -> None:
        async with beside.transaction(None) as session:
            await session.execute(text(traded), {"key": keys[0]})

    before = await bring(database, path)
    keys += [one[0] for one in await rows(database, "SELECT intent_key FROM orders WHERE order_id = 'A5'")]
    await taken_back(database, before.done.batch_id)
    brought = await bring(database, path, screen=_between(_CHUNK, trade_live, urls))
    assert await records(database, brought.done.batch_id) == [("[5]", "skipped", "there")]
    assert await scalar(database, "SELECT reason FROM import_records") == "it was traded here"
    assert brought.done.counts["imported"] == 7


async def _two_wait(database: Database) -> bool:
    return await scalar(database, "SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted") is True


async def test_of_two_imports_that_begin_at_one_moment_one_wins_and_the_other_is_told(
    database: Database, tmp_path: Path
) -> None:
    await somebody(database)
    path = _history(tmp_path)
    async with database.transaction(None) as session:
        # Both have looked for a batch before either has begun one.
        await session.execute(text("LOCK TABLE import_batches IN SHARE ROW EXCLUSIVE MODE"))
        both = [asyncio.create_task(bring(database, path)) for _ in range(2)]
        await until(lambda: _two_wait(database))
    ended = await asyncio.gather(*both, return_exceptions=True)
    [told] = [one for one in ended if isinstance(one, ImportRaceError)]
    assert "somebody else" in str(told)
    await bring(database, path)
    assert await scalar(database, "SELECT count(*) FROM import_batches WHERE counts ? 'imported'") == 1


def _cut(path: Path, at: str) -> Path:
    data = path.read_text(encoding="utf-8")
    path.write_text(data[: data.index(at) + 5], encoding="utf-8")
    return path


async def test_of_a_file_that_breaks_off_nothing_is_kept(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    before = await dump(database)
    brought = await bring(database, _cut(_history(tmp_path), '"H2"'))
    assert await dump(database) == before
    assert (brought.done.state, brought.is_whole) == ("broken", False)
    assert str(brought.done.broken).startswith("trades_history.json:")
    assert brought.done.counts["imported"] == 8
    assert await scalar(database, "SELECT error FROM import_batches") == brought.done.broken


@pytest.mark.parametrize("dry_run", [False, True])
async def test_of_a_file_that_breaks_off_what_stood_before_is_salvaged(
    database: Database, tmp_path: Path, dry_run: bool
) -> None:
    await somebody(database)
    brought = await bring(database, _cut(_history(tmp_path), '"H2"'), salvage=True, dry_run=dry_run)
    assert brought.done.state == "done"
    assert dict(brought.done.counts) == {"imported": 8, "merged": 1, "error": 1}
    held = await rows(database, "SELECT symbol FROM positions WHERE closed_at IS NULL")
    assert held == ([] if dry_run else [("H1",)])


async def test_a_whole_file_after_a_salvaged_one_brings_the_rest(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    await bring(database, _cut(_history(tmp_path), '"H2"'), salvage=True)
    brought = await bring(database, _history(tmp_path))
    assert (brought.done.counts["imported"], brought.done.counts["skipped"]) == (2, 8)


async def test_half_of_a_number_is_never_the_money(database: Database, tmp_path: Path) -> None:
    await somebody(database)
    cash = await scalar(database, "SELECT cash FROM broker_accounts")
    _cut(_paper(tmp_path) / "account.json", '": 1')
    brought = await bring(database, tmp_path, "paper-trading", salvage=True)
    assert ("account.json", "error", "broken") in await records(database, brought.done.batch_id)
    assert await scalar(database, "SELECT cash FROM broker_accounts") == cash
    assert await scalar(database, "SELECT count(*) FROM positions") == 6


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"trades": [], "failed_orders": []}'])
async def test_an_empty_file_is_a_batch_without_records(database: Database, tmp_path: Path, text: str) -> None:
    await somebody(database)
    (tmp_path / "trades_history.json").write_text(text)
    brought = await bring(database, tmp_path)
    assert (brought.done.state, sum(brought.done.counts.values()), brought.is_whole) == ("done", 0, True)
