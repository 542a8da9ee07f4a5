"""One analysis for all who share its parameters: a versioned snapshot and its candidates."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy.pool import QueuePool

from tests.market import DAY, HASH, trained
from tests.world import World
from trading.predictor import ArtifactRefused
from worker.actors import STEPS
from worker.outcome import Outcome, Refuse


async def run(market: World, subject: str = f"dip:{HASH}") -> Outcome:
    execution = await market.running("analysis", subject=subject)
    return await STEPS["analysis"](market.resources, execution)


async def test_a_day_becomes_a_snapshot_and_its_candidates(market: World) -> None:
    outcome = await run(market)
    details = outcome.details
    assert (outcome.status, details["symbols"], details["left_out"], details["model_version"]) == (
        "success",
        40,
        0,
        None,
    )
    stored = await market.row("SELECT version, sha256, model_version FROM feature_snapshots")
    assert stored == (1, details["sha256"], None)
    signals = await market.rows("SELECT symbol, day, ml_confidence FROM signals")
    assert len(signals) == details["candidates"]
    assert {row[1:] for row in signals} == {(DAY, None)}


async def test_the_same_analysis_again_keeps_its_version(market: World) -> None:
    first = await run(market)
    signals = await market.rows("SELECT * FROM signals ORDER BY id")
    assert (await run(market)).details == first.details
    assert await market.rows("SELECT * FROM signals ORDER BY id") == signals


async def test_another_active_model_makes_another_version(market: World) -> None:
    await run(market)
    await trained(market)
    outcome = await run(market)
    assert (outcome.details["snapshot"], outcome.details["model_version"]) == (2, "v1")
    rows = await market.rows("SELECT ml_confidence, ml_model_version FROM signals")
    assert all(isinstance(value, float) and 0 < value < 1 and version == "v1" for value, version in rows)
    assert len(rows) == outcome.details["candidates"]


async def test_a_draft_has_no_say(market: World) -> None:
    await trained(market, activate=False)
    assert (await run(market)).details["model_version"] is None


async def test_bytes_that_are_not_the_model_are_refused(market: World) -> None:
    await trained(market)
    await market.change("UPDATE artifacts SET data = '\\x00'")
    with pytest.raises(ArtifactRefused, match="do not have the hash"):
        await run(market)


async def test_a_day_that_is_not_whole_is_not_analysed(market: World) -> None:
    await market.change("UPDATE price_days SET whole = false")
    outcome = await run(market)
    assert (outcome.status, outcome.reason) == ("skipped", "the prices of 2024-03-05 are not whole")


async def test_a_parameter_set_of_other_definitions_is_refused(market: World) -> None:
    await market.change("INSERT INTO parameter_sets VALUES ('old', 'dip', '{\"rsi_period\": 10}', now())")
    with pytest.raises(Refuse, match="other feature definitions"):
        await run(market, "dip:old")


async def test_no_transaction_is_open_while_a_thread_works(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await trained(market)
    pool, open_at_call = market.database.engine.pool, list[int]()
    assert isinstance(pool, QueuePool)
    to_thread = asyncio.to_thread

    async def watched(work: Callable[..., object], *arguments: object) -> object:
        open_at_call.append(pool.checkedout())
        return await to_thread(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", watched)
    await run(market)
    assert open_at_call == [0, 0, 0]  # the model, the features, the candidates
