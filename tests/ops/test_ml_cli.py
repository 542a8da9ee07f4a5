"""`muhurat ml`: from a request to the next analysis, with every act recorded and every refusal saying its cure."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.servers import ServerUrls
from ops import training
from ops.local import Servers
from tests.market import HASH, open_market, run_job
from tests.ops.cli_runs import Commands
from tests.waiting import until
from tests.world import World
from worker.outcome import Refuse
from worker.steps.analysis import analysis
from worker.steps.train import train

AS = ("--as", "ravi")


@pytest.fixture
async def market(servers: Servers) -> AsyncIterator[World]:
    async with open_market(servers) as world:
        yield world


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def analysed(market: World) -> list[tuple[object, ...]]:
    outcome = await analysis(market.resources, await market.running("analysis", subject=f"dip:{HASH}"))
    assert outcome.status == "success"
    return await market.rows(
        "SELECT symbol, ml_model_version, ml_confidence, ml_predicted_gain FROM signals ORDER BY 1"
    )


async def test_a_trained_version_has_a_say_from_the_next_analysis_after_its_activation(
    market: World, muhurat: Commands
) -> None:
    before = await analysed(market)
    assert before
    assert {row[1:] for row in before} == {(None, None, None)}

    asked = await muhurat.json("ml", "train", *AS)
    assert [(job["model_type"], job["status"]) for job in asked["jobs"]] == [
        ("verdict_classifier", "pending"),
        ("price_regressor", "pending"),
    ]
    for row in await market.queued():
        assert (row.task_name, row.queue, row.useful_until) == ("train", "ml", None)
        await train(market.resources, await market.claim(row))
    assert await analysed(market) == before  # drafts

    await muhurat("ml", "activate", "verdict_classifier", "v1", *AS)
    first = await analysed(market)
    assert {row[1] for row in first} == {"v1"}
    assert all(isinstance(row[2], float) and row[3] is None for row in first)

    await muhurat("ml", "activate", "price_regressor", "v1", *AS)
    both = await analysed(market)
    assert [row[:3] for row in both] == [row[:3] for row in first]
    assert all(isinstance(row[3], float) for row in both)

    asked = await muhurat.json("ml", "train", "--type", "verdict_classifier", "--set", "max_iter=20", *AS)
    await run_job(market, asked["jobs"][0]["id"])
    await muhurat("ml", "activate", "verdict_classifier", "v2", *AS)
    second = await analysed(market)
    assert {row[1] for row in second} == {"v2"}
    assert [row[2] for row in second] != [row[2] for row in first]

    await muhurat("ml", "deactivate", "verdict_classifier", *AS)
    assert {row[1:3] for row in await analysed(market)} == {(None, None)}
    acts = await market.rows("SELECT actor, action, resource_type FROM audit_logs ORDER BY id")
    assert acts == [
        ("ravi", "create", "ml_training_job"),
        ("ravi", "create", "ml_training_job"),
        ("ravi", "activate", "ml_model"),
        ("ravi", "activate", "ml_model"),
        ("ravi", "create", "ml_training_job"),
        ("ravi", "activate", "ml_model"),
        ("ravi", "deactivate", "ml_model"),
    ]


async def test_jobs_and_versions_are_listed_and_shown(market: World, muhurat: Commands) -> None:
    asked = await muhurat.json("ml", "train", "--notes", "weekly", *AS)
    numbers = [job["id"] for job in asked["jobs"]]
    for number in numbers:
        await run_job(market, number)
    listed = await muhurat.json("ml", "jobs", "--limit", "1")
    assert [(job["id"], job["version"], job["active"]) for job in listed["jobs"]] == [(numbers[1], "v1", False)]
    rest = await muhurat.json("ml", "jobs", "--before", str(listed["next"]))
    assert [job["id"] for job in rest["jobs"]] == [numbers[0]]
    job = (await muhurat.json("ml", "show", str(numbers[0])))["job"]
    assert (job["status"], job["notes"], job["data"]) == ("completed", "weekly", "db:bars")
    assert "stored as v1, a draft" in job["logs"]

    said = await muhurat("ml", "show", "v1", code=2)
    assert "v1 is of price_regressor and verdict_classifier: say --type" in said
    version = (await muhurat.json("ml", "show", "v1", "--type", "price_regressor"))["version"]
    assert {"r2", "spearman", "mae", "mae_mean", "pnl_pct_by_decile"} <= set(version["metrics"])
    shown = await muhurat("ml", "show", "v1", "--type", "verdict_classifier")
    assert "majority accuracy" in shown
    assert "By decile" in shown
    assert "see `muhurat ml jobs`" in await muhurat("ml", "show", "v7", code=2)
    assert "no job 999" in await muhurat("ml", "show", "999", code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--features", "rsi,holding_days,label"), "'holding_days', 'label' tell a trade's outcome"),
        (("--features", "rsi,pe"), "'pe' are not on the list"),
        (("--algorithm", "xgboost"), "use hist_gradient_boosting or random_forest or logistic_regression"),
        (("--type", "oracle"), "use verdict_classifier or price_regressor"),
        (("--set", "max_iter"), "write it like max_iter=200"),
        (("--set", "max_iter=0"), "a whole number from 1 to 2000"),
        (("--again", "99"), "there is no job 99"),
        (("--data", "nowhere.csv"), "nowhere.csv: no such file"),
    ],
)
async def test_what_cannot_be_trained_is_refused_at_once(
    market: World, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    assert said in await muhurat("ml", "train", *words, *AS, code=2)
    assert await market.rows("SELECT 1 FROM ml_training_jobs") == []


async def test_a_bad_file_is_refused_before_anything_is_stored(
    market: World, muhurat: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "trades.csv"
    file.write_text("ticker,entry_date\nAAA,2024-01-02\n", encoding="utf-8")
    said = await muhurat("ml", "train", "--data", str(file), *AS, code=2)
    assert "past trades: line 1: no column exit_date, actual_pnl_pct" in said
    assert await market.rows("SELECT 1 FROM artifacts") == []


async def test_nobody_trains_activates_or_retires_without_a_name(market: World, muhurat: Commands) -> None:
    for words in (("train",), ("activate", "verdict_classifier", "v1"), ("retire", "verdict_classifier", "v1")):
        assert "--as NAME" in await muhurat("ml", *words, code=2)


async def test_an_active_version_is_not_retired_and_a_retired_one_is_gone_for_good(
    market: World, muhurat: Commands
) -> None:
    asked = await muhurat.json("ml", "train", "--type", "verdict_classifier", *AS)
    await run_job(market, asked["jobs"][0]["id"])
    await muhurat("ml", "activate", "verdict_classifier", "v1", *AS)
    assert "it is active" in await muhurat("ml", "retire", "verdict_classifier", "v1", *AS, code=2)
    await muhurat("ml", "deactivate", "verdict_classifier", *AS)
    assert (await muhurat.json("ml", "retire", "verdict_classifier", "v1", *AS))["version"] == "v1"
    assert "retired for good" in await muhurat("ml", "activate", "verdict_classifier", "v1", *AS, code=2)


async def test_waiting_tells_the_log_and_ends_with_the_job(market: World, muhurat: Commands) -> None:
    await market.change(
        "INSERT INTO worker_processes (name, host, pid, queues, lease_until) "
        "VALUES ('w1', 'here', 1, 'ml', now() + interval '1 hour')"
    )
    asked = asyncio.create_task(muhurat.json("ml", "train", "--type", "verdict_classifier", "--wait", *AS))
    await until(market.queued)
    rows = await market.queued()
    await train(market.resources, await market.claim(rows[0]))
    async with asyncio.timeout(30):
        done = await asked
    assert [(job["status"], job["version"]) for job in done["jobs"]] == [("completed", "v1")]


async def test_a_job_that_fails_while_it_is_waited_for_fails_the_command(market: World, muhurat: Commands) -> None:
    await market.change("DELETE FROM bars WHERE symbol > 'SIM002'")
    asked = asyncio.create_task(muhurat("ml", "train", "--type", "verdict_classifier", "--wait", *AS, code=1))
    await until(market.queued)
    rows = await market.queued()
    with pytest.raises(Refuse, match="200 needed"):
        await train(market.resources, await market.claim(rows[0]))
    async with asyncio.timeout(30):
        said = await asked
    assert "failed: " in said
    assert "attempt 1.1 begins" in said


async def test_waiting_gives_up_when_no_worker_takes_the_queue_and_the_job_stays(
    market: World, muhurat: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "PATIENCE_SECONDS", 0.0)
    said = await muhurat("ml", "train", "--type", "verdict_classifier", "--wait", *AS, code=1)
    assert "no worker takes the ml queue" in said
    assert "--queues ml" in said
    assert await market.rows("SELECT status FROM ml_training_jobs") == [("pending",)]
    assert len(await market.queued()) == 1


async def test_a_killed_training_can_be_asked_for_again(market: World, muhurat: Commands) -> None:
    asked = await muhurat.json("ml", "train", "--type", "verdict_classifier", "--seed", "3", *AS)
    killed = asked["jobs"][0]["id"]
    await market.change("UPDATE ml_training_jobs SET status = 'failed', error_message = 'quarantined'")
    again = (await muhurat.json("ml", "train", "--again", str(killed), *AS))["jobs"][0]
    assert (again["status"], again["seed"], again["notes"]) == ("pending", 3, f"job {killed} again")
    outcome = await run_job(market, again["id"])
    assert outcome.details["version"] == "v1"


async def test_the_log_of_a_job_is_shown_in_the_time_of_its_title(market: World, muhurat: Commands) -> None:
    job = (await muhurat.json("ml", "train", "--type", "verdict_classifier", *AS))["jobs"][0]["id"]
    await market.change(
        "UPDATE ml_training_jobs SET logs = 'cut off\n2024-01-02T20:00:00Z attempt 1.1 begins\n2024-01-02 odd\n'"
    )
    said = await muhurat("ml", "show", str(job))
    assert "times in IST" in said
    assert said.splitlines()[-3:] == ["cut off", "2024-01-03 01:30:00 attempt 1.1 begins", "2024-01-02 odd"]


async def test_a_file_that_cannot_be_read_is_bad_input(market: World, muhurat: Commands, tmp_path: Path) -> None:
    for data, said in ((tmp_path, "is a directory"), (tmp_path / "none.csv", "no such file")):
        error = await muhurat("ml", "train", "--data", str(data), *AS, code=2)
        assert f"--data {data}: {said}" in error
        assert "give bars, or a CSV file of past trades" in error


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("show", "99999999999999999999"), "job 99999999999999999999: give an id from 1"),
        (("jobs", "--before", "99999999999999999999"), "'--before'"),
        (("train", "--again", "99999999999999999999", *AS), "'--again'"),
        (("train", "--seed", "9999999999", *AS), "'--seed'"),
        (("train", "--features", "", *AS), "feature"),
    ],
)
async def test_a_number_that_no_row_can_have_is_bad_input(
    market: World, muhurat: Commands, words: tuple[str, ...], named: str
) -> None:
    assert named in await muhurat("ml", *words, code=2)
