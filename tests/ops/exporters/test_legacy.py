"""The way back: what was imported and exported is, read again, what it was; and what is ours goes with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db import export_rows
from db.transaction import Database
from ops.exporters import reading
from ops.exporters.errors import NotEmptyError, UnsoundRecordError
from ops.exporters.legacy import Exported, Screen, export_legacy
from tests.ops.cli_runs import Commands
from tests.ops.exporters.old_folder import TRACKED, books, bring_in, sold, stand_at, trade, write

ASHA, RAVI = "asha@example.org", "ravi@example.org"
HISTORY, PENDING, SHARES = (
    f"data/{name}.json" for name in ("trades_history", "pending_orders", "system_recommended_symbols")
)


async def exported(database: Database, folder: Path, user: str = ASHA) -> Exported:
    return await export_legacy(database, folder, user, "ravi", Screen())


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8-sig"))


def record(folder: Path, symbol: str) -> Any:
    return next(one for one in read(folder, HISTORY)["trades"] if one["symbol"] == symbol)


@pytest.mark.parametrize(
    ("live", "paper", "page"), [(True, True, 1000), (True, True, 2), (True, False, 1000), (False, True, 1000)]
)
async def test_what_is_exported_and_read_again_is_what_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool, paper: bool, page: int
) -> None:
    for module in (export_rows, reading):
        monkeypatch.setattr(module, "PAGE", page)
    await stand_at(database)
    brought = await bring_in(database, write(tmp_path / "old", live=live, paper=paper), ASHA)
    assert sum(one.done.counts["error"] for one in brought) == 0
    await exported(database, tmp_path / "out")
    brought = await bring_in(database, tmp_path / "out", RAVI)
    assert sum(one.done.counts["error"] for one in brought) == 0
    before, after = await books(database, ASHA), await books(database, RAVI)
    assert sum(len(rows) for rows in before.values()) > 30
    for name, rows in before.items():
        assert (name, after[name]) == (name, rows)


async def test_an_account_that_both_services_used_comes_back_to_each(database: Database, tmp_path: Path) -> None:
    await stand_at(database)
    folder = write(tmp_path / "old")
    for one in ("pending_orders.json", "system_recommended_symbols.json"):
        (folder / "data" / one).unlink()
    await bring_in(database, folder, ASHA, account="paper")
    await exported(database, tmp_path / "out")
    await bring_in(database, tmp_path / "out", RAVI, account="paper")
    assert await books(database, RAVI) == await books(database, ASHA)


async def test_an_export_read_where_it_came_from_changes_nothing(database: Database, tmp_path: Path) -> None:
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old"), ASHA)
    before = await books(database, ASHA)
    await exported(database, tmp_path / "out")
    brought = await bring_in(database, tmp_path / "out", ASHA)
    assert sum(one.done.counts["imported"] for one in brought) == 0
    assert await books(database, ASHA) == before


async def test_an_export_of_an_export_is_the_same_but_for_its_hours(database: Database, tmp_path: Path) -> None:
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old"), ASHA)
    await exported(database, tmp_path / "one")
    await bring_in(database, tmp_path / "one", RAVI)
    await exported(database, tmp_path / "two", RAVI)
    for name in (
        HISTORY,
        PENDING,
        SHARES,
        *(f"paper_trading/unified_service/{one}.json" for one in ("orders", "config")),
    ):
        first, second = (_without_order(read(tmp_path / one, name)) for one in ("one", "two"))
        assert second == first, name


def _without_order(value: Any) -> Any:
    """Return a file's records in an order that does not depend on when their rows were made."""
    if isinstance(value, dict):
        return {name: _without_order(one) for name, one in value.items()}
    return sorted(value, key=lambda one: str(sorted(one.items()))) if isinstance(value, list) else value


async def test_fields_that_have_no_column_survive(database: Database, tmp_path: Path) -> None:
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old"), ASHA)
    await exported(database, tmp_path / "out")
    assert {name: record(tmp_path / "out", "TOTAL")[name] for name in ("exit_note", "ema9", "order_response", "pnl")} == {
        "exit_note": "kept as it is", "ema9": 262.1, "pnl": 2195.0,
        "order_response": {"nOrdNo": "2401TOTAL", "stat": "Ok", "stCode": 200},
    }  # fmt: skip
    assert [one["why"] for one in record(tmp_path / "out", "TOTAL")["reentries"]] == ["fell", "fell"]
    assert record(tmp_path / "out", "OPEN")["placed_symbol"] == "OPEN-BE"
    assert read(tmp_path / "out", SHARES)["symbols"][0] == TRACKED["symbols"][0]
    (paper,) = [
        one
        for one in read(tmp_path / "out", "paper_trading/unified_service/orders.json")
        if one.get("order_id") == "PT1"
    ]
    assert (paper["metadata"], paper["price"], paper["validity"]) == ({"origin": "scan"}, 1250.4, "DAY")
    assert (tmp_path / "out" / SHARES).read_bytes().startswith(b"\xef\xbb\xbf")


async def test_several_open_trades_of_a_share_are_one_with_more_purchases(database: Database, tmp_path: Path) -> None:
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old"), ASHA)
    await exported(database, tmp_path / "out")
    one = record(tmp_path / "out", "MERGED")
    (more,) = one["reentries"]
    assert (one["qty"], one["first_qty"], more["qty"], more["time"]) == (107, 100, 7, "2024-01-09T09:15:00")
    assert (more["order_id"], more["trade"]["note"]) == ("3", "second")


async def test_a_trade_too_long_with_all_that_was_kept_leaves_the_kept_out(database: Database, tmp_path: Path) -> None:
    trades = [
        trade("MERGED", entry_time=f"2024-01-{day:02}T09:15:00", order_response=None, note="n" * 4000)
        for day in range(2, 9)
    ]
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old", paper=False, trades={"trades": trades}), ASHA)
    await exported(database, tmp_path / "out")
    assert "note" not in record(tmp_path / "out", "MERGED")
    await bring_in(database, tmp_path / "out", RAVI)
    before, after = await books(database, ASHA), await books(database, RAVI)
    assert (after["positions"], after["fills"]) == (before["positions"], before["fills"])


async def test_a_folder_with_something_in_it_is_left_alone(database: Database, tmp_path: Path) -> None:
    await bring_in(database, write(tmp_path / "old"), ASHA)
    with pytest.raises(NotEmptyError, match="no empty folder; give one that is empty"):
        await exported(database, tmp_path / "old")
    (tmp_path / "file").touch()
    with pytest.raises(NotEmptyError):
        await exported(database, tmp_path / "file")


async def test_a_position_that_is_not_its_fills_stops_the_export_and_leaves_the_folder_empty(
    database: Database, tmp_path: Path
) -> None:
    await bring_in(database, write(tmp_path / "old", paper=False, trades={"trades": [sold("AA"), trade("BB")]}), ASHA)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE positions SET quantity = 99 WHERE symbol = 'BB'"))
    said = "position 2 in BB: its fills bought 100 and leave 100, its row says 100 and 99; see `muhurat doctor`"
    with pytest.raises(UnsoundRecordError, match=said):
        await exported(database, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


async def test_the_command_tells_what_it_wrote_and_is_audited(
    database: Database,
    urls: ServerUrls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    muhurat = Commands(urls, monkeypatch, capsys)
    await stand_at(database)
    await bring_in(database, write(tmp_path / "old"), ASHA)
    out = str(tmp_path / "out")
    assert "MUHURAT_OPERATOR is not set" in await muhurat("export", "legacy", out, "--user", ASHA, code=2)
    assert "there is no user" in await muhurat("export", "legacy", out, "--user", "nobody", "--as", "ravi", code=2)
    told = await muhurat.json("export", "legacy", out, "--user", ASHA, "--as", "ravi")
    assert told["accounts"] == {"data": "live", "paper_trading": "paper"}
    assert told["files"][HISTORY] == len(read(tmp_path / "out", HISTORY)["trades"]) + 3
    assert "is no empty folder" in await muhurat("export", "legacy", out, "--user", ASHA, "--as", "ravi", code=2)
    assert f"{HISTORY} " in await muhurat("export", "legacy", f"{out}2", "--user", ASHA, "--as", "ravi")
    async with database.reading(None) as session:
        query = text(
            "SELECT actor, resource_type, changes->'accounts'->>'data' FROM audit_logs WHERE action = 'export'"
        )
        assert [tuple(row) for row in await session.execute(query)] == [("ravi", "user", "live")] * 2
