"""Training on the bars in the database, or on a file: a version with its artefact, the same for the same lessons."""

import asyncio
import hashlib
import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from adapters.prices.bar_file import read_bar_file
from db.artifacts import PREFIX, ArtifactRepository
from db.executions import Execution, Fenced
from db.losses import DEATHS_ALONE, LossRepository
from db.training_jobs import MLTrainingJobRepository, TrainingRequest
from tests.market import DAY, PARAMETERS, asked, requested, run_job, trained
from tests.world import World
from trading.artifacts import from_artifact
from trading.backtest import all_dip_trades
from trading.bars import bars_of
from trading.features import FeatureParameters
from trading.lesson_file import COLUMN_OF
from trading.lessons import MODEL_FEATURES, lessons_of
from trading.predictor import MIN_ROWS, confidence
from trading.recipes import FOREST, PRICE_REGRESSOR, VERDICT_CLASSIFIER, Recipe
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
        from_artifact(data, VERDICT_CLASSIFIER, len(MODEL_FEATURES))
        for (data,) in await market.rows("SELECT data FROM artifacts")
        if isinstance(data, bytes)
    ]
    entries = np.random.default_rng(7).normal(size=(500, len(MODEL_FEATURES)))
    judged = [confidence(model, entries) for model in models]
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
    (logs,) = await market.row("SELECT logs FROM ml_training_jobs")
    assert isinstance(logs, str)
    said = [line.partition(" ")[2] for line in logs.splitlines()]
    assert said[:2] == ["attempt 1.1 begins", "attempt 1.2 begins again: the one before it was lost"]
    assert "past trades, " in said[2]
    assert "later trades: auc 0." in said[3]
    assert said[4] == "stored as v1, active"


async def test_a_training_whose_worker_dies_is_recorded_and_comes_back_until_it_is_quarantined(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await requested(market)
    execution, ended = await market.running("train", subject=str(job)), 0

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(step, "_learnt", killed)
        for death in range(DEATHS_ALONE + 1):
            with pytest.raises(asyncio.CancelledError):
                await train(market.resources, execution)
            await market.change("UPDATE service_task_execution SET worker = 'w1' WHERE status = 'running'")
            async with market.database.transaction(None) as session:
                await LossRepository(session).take_back(["w1"])
                ended = await MLTrainingJobRepository(session).close_ended()
            if death < DEATHS_ALONE:
                assert ended == 0
                [row] = await market.queued()
                execution = await market.claim(row)
    assert ended == 1
    lost = await market.rows("SELECT outcome FROM execution_attempts")
    assert lost == [("lost",)] * (DEATHS_ALONE + 1)
    status, message = await market.row("SELECT status, error_message FROM ml_training_jobs")
    assert status == "failed"
    assert "ended failed: quarantined" in str(message)


async def test_a_bug_fails_the_job_too(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await requested(market)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(step, "measured", broken)
    with pytest.raises(ZeroDivisionError):
        await trained(market)
    rows = await market.rows("SELECT status, error_message, completed_at IS NULL FROM ml_training_jobs ORDER BY id")
    assert rows == [("pending", None, True), ("failed", "ZeroDivisionError: division by zero", False)]


async def test_a_training_that_takes_too_long_fails_its_job_before_it_is_interrupted(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TASKS["train"].limit_seconds > step.LONGEST_SECONDS
    monkeypatch.setattr(step, "LONGEST_SECONDS", 0)
    monkeypatch.setattr(step, "measured", lambda *_: None)
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
        patch.setattr(step, "_learnt", broken)
        with pytest.raises(Fenced):
            await train(market.resources, execution)
    assert await market.row("SELECT status FROM ml_training_jobs") == ("running",)
    assert (await train(market.resources, taken[0])).details["version"] == "v1"


async def test_a_price_regressor_stands_beside_the_classifier_with_versions_of_its_own(market: World) -> None:
    await trained(market)
    outcome = await trained(market, model_type=PRICE_REGRESSOR)
    assert (outcome.details["model_type"], outcome.details["version"]) == (PRICE_REGRESSOR, "v1")
    rows = await market.rows("SELECT model_type, version, is_active, metrics ? 'r2' FROM ml_models ORDER BY id")
    assert rows == [(VERDICT_CLASSIFIER, "v1", True, False), (PRICE_REGRESSOR, "v1", True, True)]


async def test_a_job_keeps_to_its_algorithm_its_settings_its_features_and_its_last_day(market: World) -> None:
    features = tuple(sorted(MODEL_FEATURES)[:5])
    recipe = Recipe(algorithm=FOREST, hyperparameters={"n_estimators": 3})
    job = await asked(market, TrainingRequest(recipe, PARAMETERS, features=features, until=date(2023, 3, 5)))
    outcome = await run_job(market, job)
    assert outcome.status == "success"
    used, through, last, data = await market.row(
        "SELECT features, training_data_through_date, metrics ->> 'last_entry', data FROM ml_models "
        "JOIN artifacts USING (sha256)"
    )
    assert used == list(features)
    assert through == date(2023, 3, 5)
    assert isinstance(last, str)
    assert date.fromisoformat(last) < date(2023, 3, 5)
    assert isinstance(data, bytes)
    model = from_artifact(data, VERDICT_CLASSIFIER, 5)
    assert len(getattr(model, "estimators_", ())) == 3


async def test_a_file_of_past_trades_teaches_as_bars_do_and_what_is_not_used_is_listed(market: World) -> None:
    job = await asked(market, TrainingRequest(Recipe(), PARAMETERS, data_path=await stored(market, trades_file())))
    outcome = await run_job(market, job)
    assert outcome.status == "success"
    metrics, through, logs = await market.row(
        "SELECT metrics, training_data_through_date, logs FROM ml_models m JOIN ml_training_jobs j "
        "ON j.id = m.training_job_id"
    )
    assert isinstance(metrics, dict)
    assert (metrics["rows"], metrics["columns_not_used"]) == (400, ["vix"])
    assert metrics["auc"] > 0.8
    assert through == date(2021, 2, 12)
    assert isinstance(logs, str)
    assert "columns not used: vix" in logs


async def test_a_file_that_is_not_the_one_that_was_stored_is_not_learnt_from(market: World) -> None:
    job = await asked(market, TrainingRequest(Recipe(), PARAMETERS, data_path=await stored(market, trades_file())))
    await market.change("UPDATE artifacts SET data = data || '\\x0a'::bytea")
    with pytest.raises(Refuse, match="does not have the hash"):
        await run_job(market, job)
    assert await market.row("SELECT status FROM ml_training_jobs") == ("failed",)


async def test_a_bad_line_of_a_file_fails_the_job_and_is_named(market: World) -> None:
    file = trades_file().replace("\n2020-01-10,", "\n10/01/2020,", 1)
    job = await asked(market, TrainingRequest(Recipe(), PARAMETERS, data_path=await stored(market, file)))
    with pytest.raises(Refuse, match="line 11: entry_date '10/01/2020' is no day"):
        await run_job(market, job)
    (message,) = await market.row("SELECT error_message FROM ml_training_jobs")
    assert "line 11" in str(message)


async def test_a_version_that_would_not_pass_the_checks_is_not_activated_by_its_own_job(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "LIBRARY_VERSION", "0.1.0")
    with pytest.raises(Refuse, match=r"scikit-learn 0\.1\.0 made it"):
        await trained(market)
    assert await market.rows("SELECT 1 FROM ml_models") == []
    assert await market.row("SELECT status FROM ml_training_jobs") == ("failed",)


async def stored(market: World, file: str) -> str:
    async with market.database.transaction(None) as session:
        return PREFIX + await ArtifactRepository(session).put(file.encode())


def trades_file() -> str:
    """Return four hundred trades, one a day from 2020-01-01, whose RSI tells the outcome."""
    random = np.random.default_rng(5)
    lines = [
        ",".join(["entry_date", "exit_date", "actual_pnl_pct", "max_favorable_pct_20d", "vix", *COLUMN_OF.values()])
    ]
    for number in range(400):
        entry = date(2020, 1, 1) + timedelta(days=number)
        rsi = float(random.uniform(10, 40))
        pnl = 25 - rsi + float(random.normal(0, 3))
        values = [rsi if name == "rsi" else float(random.normal()) for name in COLUMN_OF]
        lines.append(",".join(map(str, [entry, entry + timedelta(days=9), pnl, abs(pnl), 14, *values])))
    return "\n".join(lines)


def test_the_past_of_real_large_caps_holds_lessons_enough() -> None:
    folder = os.environ.get("MUHURAT_SAMPLE_DATA")
    if folder is None:
        if "data" in os.environ.get("MUHURAT_REQUIRE", "").split(","):
            pytest.fail("MUHURAT_REQUIRE names data, but MUHURAT_SAMPLE_DATA is not set")
        pytest.skip("MUHURAT_SAMPLE_DATA is not set: no real prices to learn from")
    files = [read_bar_file(path, Symbol(path.stem)) for path in sorted(Path(folder, "nifty50").glob("*.csv"))]
    bars = [bars_of(list(file.series.bars(date(2020, 10, 1), date(2022, 12, 30)))) for file in files]
    trades = list(all_dip_trades(bars, step.LESSONS, FeatureParameters(rsi_period=step.LESSONS.rsi_period)))
    assert len(lessons_of(trades)) >= MIN_ROWS
