"""One analysis for all who share its parameters: a versioned snapshot and its candidates."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy.pool import QueuePool

from tests.market import DAY, HASH, trained
from tests.world import World
from trading.predictor_errors import ArtifactRefused
from trading.recipes import PRICE_REGRESSOR
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


async def test_a_signal_tells_what_the_default_configuration_makes_of_it(market: World) -> None:
    await run(market)
    known = "rsi10 IS NOT NULL AND ema9 > 0 AND avg_vol > 0 AND combined_score BETWEEN 0 AND 100"
    assert await market.rows(f"SELECT DISTINCT {known}, status, verdict_source FROM signals") == [
        (True, "active", "rule_based")
    ]


async def test_a_newer_analysis_keeps_the_id_of_what_it_finds_again_and_expires_the_rest(market: World) -> None:
    await run(market)
    gone, kept = await market.rows("SELECT id FROM signals ORDER BY id LIMIT 2")
    count = await market.row("SELECT count(*) FROM signals")
    await market.change(f"UPDATE signals SET symbol = 'GONE' WHERE id = {gone[0]}")
    await market.change(f"UPDATE signals SET rsi10 = 0 WHERE id = {kept[0]}")
    await trained(market)
    await run(market)
    assert await market.row(f"SELECT status, symbol FROM signals WHERE id = {gone[0]}") == ("expired", "GONE")
    assert await market.row(f"SELECT status, rsi10 > 0 FROM signals WHERE id = {kept[0]}") == ("active", True)
    assert await market.row("SELECT count(*) FROM signals WHERE status = 'active'") == count


async def test_signals_of_older_days_expire(market: World) -> None:
    await run(market)
    await market.change("UPDATE signals SET day = day - 1")
    await market.change("UPDATE feature_snapshots SET day = day - 1")
    await run(market)
    by_day = "SELECT day < '2024-03-05', status, count(*) > 0 FROM signals GROUP BY 1, 2 ORDER BY 1"
    assert await market.rows(by_day) == [(False, "active", True), (True, "expired", True)]


async def test_another_active_model_makes_another_version(market: World) -> None:
    await run(market)
    await trained(market)
    outcome = await run(market)
    assert (outcome.details["snapshot"], outcome.details["model_version"]) == (2, "v1")
    rows = await market.rows("SELECT ml_confidence, ml_model_version FROM signals")
    assert all(isinstance(value, float) and 0 < value < 1 and version == "v1" for value, version in rows)
    assert len(rows) == outcome.details["candidates"]


async def test_a_price_regressor_foretells_the_gain_and_makes_another_version(market: World) -> None:
    await trained(market)
    await run(market)
    await trained(market, model_type=PRICE_REGRESSOR)
    outcome = await run(market)
    versions = [outcome.details[name] for name in ("snapshot", "model_version", "price_model_version")]
    assert versions == [2, "v1", "v1"]
    gains = await market.rows("SELECT ml_predicted_gain FROM signals WHERE status = 'active'")
    assert gains
    assert all(isinstance(gain, float) and 0 < gain < 100 for (gain,) in gains)


async def test_a_pinned_version_judges_beside_the_active_one(market: World) -> None:
    await trained(market)
    await trained(market)
    await market.change("UPDATE user_trading_config SET ml_enabled = true, ml_model_version = 'v1'")
    await run(market)
    rows = await market.rows("SELECT ml_model_version, ml_probabilities FROM signals")
    assert rows
    assert all(version == "v2" and set(said) == {"v1"} for version, said in rows if isinstance(said, dict))
    assert all(isinstance(said, dict) for _, said in rows)


async def test_a_pinned_version_that_cannot_be_used_has_no_say_and_stops_nobody(market: World) -> None:
    await trained(market)
    await trained(market)
    await market.change("UPDATE user_trading_config SET ml_enabled = true, ml_model_version = 'v1'")
    await market.change("UPDATE ml_models SET library_version = '0.1.0' WHERE version = 'v1'")
    outcome = await run(market)
    assert (outcome.status, outcome.details["model_version"]) == ("success", "v2")
    assert {said for (said,) in await market.rows("SELECT ml_probabilities FROM signals")} == {None}


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
    assert open_at_call == [0, 0, 0, 0]  # the model, the features, the candidates, what they are worth
