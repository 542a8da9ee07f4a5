"""`muhurat import` as people use it: what it says, what it leaves, and how it ends."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.ops.importers.old_files import holding, paper_order, sold, trade, write, write_paper
from tests.ops.importers.runs import dump, sell_live, somebody
from tests.people import scalar


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    monkeypatch.setenv("COLUMNS", "240")
    return Commands(urls, monkeypatch, capsys)


def _data(folder: Path, *trades: object) -> Path:
    write(folder / "data", "trades_history.json", {"trades": [*trades] or [sold(), trade("HELD")]})
    return folder


_MINE = ("--user", "asha@example.org", "--as", "ravi")


async def test_a_folder_comes_in_with_a_report_a_record(database: Database, muhurat: Commands, tmp_path: Path) -> None:
    await somebody(database)
    _data(tmp_path, sold(), sold(), trade("HELD"))
    write_paper(tmp_path / "paper_trading" / "unified_service", orders=[paper_order()], holdings={"DEMO1": holding()})
    report = tmp_path / "report.jsonl"
    told = await muhurat.json("import", "all", str(tmp_path), *_MINE, "--report", str(report))
    assert [(one["kind"], one["account"], one["state"], one["disagree"]) for one in told["sources"]] == [
        ("trades-history", "live", "done", []), ("paper-trading", "paper", "done", []),
    ]  # fmt: skip
    assert told["sources"][0]["counts"] == {"imported": 2, "merged": 1, "skipped": 0, "error": 0}
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert [(one["place"], one["outcome"]) for one in lines] == [
        ("trades[0]", "imported"), ("trades[1]", "merged"), ("trades[2]", "imported"), ("orders.json:[0]", "imported"),
    ]  # fmt: skip
    assert (lines[1]["line"], "stands at trades[0]" in lines[1]["reason"]) == (16, True)


async def test_a_batch_is_listed_shown_verified_and_taken_back(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    before = await dump(database)
    said = await muhurat("import", "trades-history", str(_data(tmp_path, sold(), sold())), *_MINE)
    assert "trades_history.json" in said
    [listed] = (await muhurat.json("import", "list", "--user", "asha@example.org"))["batches"]
    assert (listed["id"], listed["state"], listed["actor"], listed["counts"]) == (
        1,
        "done",
        "ravi",
        {"imported": 1, "merged": 1},
    )
    shown = await muhurat.json("import", "show", "1")
    assert (len(shown["sha256"]), [one["kind"] for one in shown["records"]]) == (64, ["twice"])
    verified = await muhurat.json("import", "verify", "1")
    assert verified["agrees"] is True
    for words in (("list",), ("show", "1"), ("verify", "1")):
        assert "Traceback" not in await muhurat("import", *words)
    assert (await muhurat.json("import", "rollback", "1", "--as", "ravi"))["rows"] > 0
    assert await dump(database) == before
    assert await scalar(database, "SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit_logs") == (
        "ravi import, ravi rollback"
    )


async def test_refused_records_end_with_code_1_and_are_told(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    _data(tmp_path, sold(), sold("DEMO2", status="lost"), 5)
    said = await muhurat("import", "trades-history", str(tmp_path), *_MINE, code=1, out=True)
    assert "1 x status 'lost' is a word that nobody mapped" in said
    assert "2 records were refused: `muhurat import show 1`" in said
    assert "unmapped" in await muhurat("import", "show", "1")


async def test_a_broken_file_ends_with_code_1_and_is_salvaged_on_request(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    path = tmp_path / "trades_history.json"
    path.write_text(json.dumps([sold(), sold("DEMO2")])[:-20])
    said = await muhurat("import", "trades-history", str(path), *_MINE, code=1, out=True)
    assert "nothing was kept; --salvage" in said
    assert await scalar(database, "SELECT count(*) FROM positions") == 0
    said = await muhurat("import", "trades-history", str(path), *_MINE, "--salvage", code=1, out=True)
    assert "what stood before it was kept" in said
    assert await scalar(database, "SELECT count(*) FROM positions") == 1


async def test_a_dry_run_says_so_and_keeps_nothing(database: Database, muhurat: Commands, tmp_path: Path) -> None:
    await somebody(database)
    before = await dump(database)
    assert "Dry run: nothing was kept" in await muhurat(
        "import", "trades-history", str(_data(tmp_path)), *_MINE, "--dry-run"
    )
    assert await dump(database) == before
    for words in (("verify", "1"), ("rollback", "1", "--as", "ravi")):
        said = await muhurat("import", *words, code=2)
        assert "batch 1" in said, words


async def test_a_user_is_signed_up_on_request_and_begins_stopped(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    new = ("import", "trades-history", str(_data(tmp_path)), "--user", "new@example.org", "--as", "ravi")
    said = await muhurat(*new, code=2)
    assert "add --create-user" in said
    assert await scalar(database, "SELECT count(*) FROM users") == 0
    await muhurat(*new, "--create-user")
    assert await scalar(database, "SELECT service_running FROM service_status") is False


async def test_what_trading_was_built_on_is_not_taken_back_and_a_tampered_sum_is_told(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    await muhurat("import", "trades-history", str(_data(tmp_path)), *_MINE)
    await sell_live(database, "HELD")
    said = await muhurat("import", "rollback", "1", "--as", "ravi", code=2)
    assert "trading has gone on from it: position" in said
    await muhurat("import", "verify", "1")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE fills SET price = price + 1 WHERE import_batch_id IS NOT NULL"))
    assert json.loads(await muhurat("import", "verify", "1", "--json", code=1, out=True))["agrees"] is False


async def test_bad_input_ends_with_code_2_and_one_line_that_says_the_cure(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    _data(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    full, empty, missing = (str(tmp_path / name) for name in ("full", "empty", "missing"))
    for words, said in (
        (("trades-history", missing, *_MINE), "is not there"),
        (("trades-history", empty, *_MINE), "has no trades_history.json"),
        (("paper-trading", empty, *_MINE), "has none of orders.json"),
        (("all", empty, *_MINE), "has none of trades_history.json"),
        (("all", missing, *_MINE), "is no folder"),
        (("trades-history", full, "--user", "nobody@example.org", "--as", "ravi"), "--create-user"),
        (("trades-history", full, *_MINE, "--account", "gold"), "use --account with one of paper"),
        (("trades-history", full, "--user", "asha@example.org"), "MUHURAT_OPERATOR"),
        (("trades-history", full, "--as", "ravi"), "--user"),
        (("show", "99"), "there is no batch 99"),
        (("verify", "99"), "there is no batch 99"),
        (("rollback", "99", "--as", "ravi"), "there is no batch 99"),
        (("show", "0"), "greater than or equal to 1"),
        (("show", "first"), "valid integer"),
    ):
        line = await muhurat("import", *words, code=2)
        assert said in line, words
        assert "Traceback" not in line
    assert await scalar(database, "SELECT count(*) FROM import_batches") == 0


async def test_a_report_that_cannot_be_written_stops_before_anything_comes_in(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    await somebody(database)
    place = str(tmp_path / "nowhere" / "report.jsonl")
    said = await muhurat("import", "trades-history", str(_data(tmp_path)), *_MINE, "--report", place, code=1)
    assert "check the path" in said
    assert await scalar(database, "SELECT count(*) FROM import_batches") == 0


async def test_a_batch_is_taken_back_once(database: Database, muhurat: Commands, tmp_path: Path) -> None:
    await somebody(database)
    await muhurat("import", "trades-history", str(_data(tmp_path)), *_MINE)
    await muhurat("import", "rollback", "1", "--as", "ravi")
    said = await muhurat("import", "rollback", "1", "--as", "ravi", code=2)
    assert "batch 1 is rolled back: it left nothing to take back" in said
    assert "nothing to verify" in await muhurat("import", "verify", "1", code=2)
