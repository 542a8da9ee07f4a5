"""Training on the bars in the database: a version with its artefact, the same for the same bars."""

import asyncio
import hashlib
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from adapters.prices.bar_file import read_bar_file
from db.executions import Execution, Fenced
from tests.market import DAY, requested, trained
from tests.world import World
from trading.backtest import all_dip_trades
from trading.bars import bars_of
from trading.features import FeatureParameters
from trading.predictor import MIN_ROWS, MODEL_FEATURES, dataset_of, from_artifact
from trading.values import Symbol
from worker.messages import TASKS
from worker.outcome import Refuse
from worker.steps import train as step
from worker.steps.train import train


async def test_training_stores_a_version_with_its_artefact_and_metrics(market: World) -> None:
    outcome = await trained(market)
    assert (outcome.details["version"], outcome.details["activated"]) == ("v1", True)
    columns = "version, features, is_active, training_data_through_date, model_path, sha256, metrics"
    version, features, active, through, path, sha256, metrics = await market.row(f"SELECT {columns} FROM ml_models")
    assert (version, features, active, through) == ("v1", list(MODEL_FEATURES), True, DAY)
    assert path == f"db:{sha256}"
    assert isinstance(metrics, dict)
    assert 0 < metrics["auc"] < 1
    (data,) = await market.row("SELECT data FROM artifacts")
    assert isinstance(data, bytes)
    assert hashlib.sha256(data).hexdigest() == sha256
    assert await market.row("SELECT status, model_path FROM ml_training_jobs") == ("completed", path)


async def test_two_trainings_on_the_same_bars_judge_alike_to_the_last_bit(market: World) -> None:
    first, second = await trained(market), await trained(market)
    assert first.details["metrics"] == second.details["metrics"]
    models = [
        from_artifact(data) for (data,) in await market.rows("SELECT data FROM artifacts") if isinstance(data, bytes)
    ]
    entries = np.random.default_rng(7).normal(size=(500, len(MODEL_FEATURES)))
    judged = [model.predict_proba(entries) for model in models]
    assert all(np.array_equal(judged[0], other) for other in judged)
    assert await market.rows("SELECT version FROM ml_models WHERE is_active") == [("v2",)]


async def test_a_job_that_is_done_is_not_done_again(market: World) -> None:
    job = await requested(market, activate=False)
    execution = await market.running("train", subject=str(job))
    await train(market.resources, execution)
    again = await train(market.resources, await market.fence_off(execution))
    assert again.details == {"job": job, "version": "v1", "repeated": True}
    assert await market.rows("SELECT version, is_active FROM ml_models") == [("v1", False)]


async def test_too_little_to_learn_from_fails_the_job_with_its_reason(market: World) -> None:
    await market.change("DELETE FROM bars WHERE symbol > 'SIM002'")
    job = await requested(market)
    execution = await market.running("train", subject=str(job))
    with pytest.raises(Refuse, match="trades, 200 needed"):
        await train(market.resources, execution)
    status, message = await market.row("SELECT status, error_message FROM ml_training_jobs")
    assert status == "failed"
    assert isinstance(message, str)
    assert "200 needed" in message
    with pytest.raises(Refuse, match="200 needed"):
        await train(market.resources, execution)


async def test_a_training_that_was_killed_runs_again(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await requested(market)
    execution = await market.running("train", subject=str(job))

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "to_thread", killed)
        with pytest.raises(asyncio.CancelledError):
            await train(market.resources, execution)
    assert await market.row("SELECT status FROM ml_training_jobs") == ("running",)
    outcome = await train(market.resources, await market.fence_off(execution))
    assert outcome.details["version"] == "v1"


async def test_a_bug_fails_the_job_too(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await requested(market)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(step, "_learn", broken)
    with pytest.raises(ZeroDivisionError):
        await trained(market)
    rows = await market.rows("SELECT status, error_message, completed_at IS NULL FROM ml_training_jobs ORDER BY id")
    assert rows == [("pending", None, True), ("failed", "ZeroDivisionError: division by zero", False)]


async def test_a_training_that_takes_too_long_fails_its_job_before_it_is_interrupted(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TASKS["train"].limit_seconds > step.LONGEST_SECONDS
    monkeypatch.setattr(step, "LONGEST_SECONDS", 0)
    monkeypatch.setattr(step, "_learn", lambda *_: None)
    with pytest.raises(Refuse, match="took longer than 0 s"):
        await trained(market)
    status, message = await market.row("SELECT status, error_message FROM ml_training_jobs")
    assert (status, message) == ("failed", "training took longer than 0 s; train on fewer symbols")


async def test_a_worker_that_was_fenced_off_leaves_the_job_to_the_next(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await market.running("train", subject=str(await requested(market)))
    await market.change("UPDATE ml_training_jobs SET status = 'running'")
    taken: list[Execution] = []

    async def broken(*_: object) -> None:
        taken.append(await market.fence_off(execution))
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(step, "_learned", broken)
        with pytest.raises(Fenced):
            await train(market.resources, execution)
    assert await market.row("SELECT status FROM ml_training_jobs") == ("running",)
    assert (await train(market.resources, taken[0])).details["version"] == "v1"


def test_the_past_of_real_large_caps_holds_lessons_enough() -> None:
    folder = os.environ.get("MUHURAT_SAMPLE_DATA")
    if folder is None:
        if "data" in os.environ.get("MUHURAT_REQUIRE", "").split(","):
            pytest.fail("MUHURAT_REQUIRE names data, but MUHURAT_SAMPLE_DATA is not set")
        pytest.skip("MUHURAT_SAMPLE_DATA is not set: no real prices to learn from")
    files = [read_bar_file(path, Symbol(path.stem)) for path in sorted(Path(folder, "nifty50").glob("*.csv"))]
    bars = [bars_of(list(file.series.bars(date(2020, 10, 1), date(2022, 12, 30)))) for file in files]
    trades = list(all_dip_trades(bars, step.LESSONS, FeatureParameters(rsi_period=step.LESSONS.rsi_period)))
    assert len(dataset_of(trades).pnl_pct) >= MIN_ROWS
