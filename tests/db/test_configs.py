"""A configuration has versions: an execution keeps the one it began under, and the next one sees the change."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.claims import LedgerRepository
from db.configs import ConfigSnapshot, UserTradingConfigRepository
from db.transaction import Database
from db.users import UserRepository
from tests.people import MORNING, person, queued, scalar, worker
from tests.waiting import until
from trading.config import DEFAULTS, RANGES, RISING, ConfigError


async def _update(database: Database, user_id: int, changes: Mapping[str, object]) -> ConfigSnapshot:
    async with database.transaction(user_id) as session:
        return await UserTradingConfigRepository(session).update(user_id, changes, "ravi", MORNING)


async def _waits(database: Database) -> bool:
    return bool(await scalar(database, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))


async def test_a_change_is_a_version_with_who_and_when(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        after = await UserTradingConfigRepository(session).update(
            asha.user_id, {"user_capital": "150000"}, "ravi", MORNING
        )
    assert (after.version, after.config.user_capital) == (2, Decimal(150_000))
    async with database.reading(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        newest, first = await configs.versions(asha.user_id)
        assert (newest.changed_by, newest.changed_at, first.changed_by) == ("ravi", MORNING, "sign-up")
        assert (await configs.snapshot(asha.user_id, 1)).config == DEFAULTS
        assert (await configs.snapshot(asha.user_id)).config == after.config
    assert await scalar(database, "SELECT changes FROM audit_logs") == {"user_capital": ["200000", "150000"]}


async def test_what_changes_nothing_makes_no_version(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        same = await UserTradingConfigRepository(session).update(asha.user_id, {"rsi_period": 10}, "ravi", MORNING)
    assert same.version == 1
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 0


async def test_a_change_that_is_refused_changes_nothing(database: Database) -> None:
    asha = await person(database)
    with pytest.raises(ConfigError):
        await _update(database, asha.user_id, {"user_capital": 1000, "rsi_extreme_oversold": 30})
    assert await scalar(database, "SELECT user_capital FROM user_trading_config") == 200_000


async def test_a_reset_is_the_defaults_as_one_more_version(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        await configs.apply_preset(asha.user_id, "aggressive", "ravi", MORNING)
        back = await configs.reset(asha.user_id, "ravi", MORNING)
        assert (back.version, back.config) == (3, DEFAULTS)
        assert (await configs.snapshot(asha.user_id, 2)).config.max_portfolio_size == 8


async def test_a_reset_of_the_defaults_makes_no_version(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        assert (await UserTradingConfigRepository(session).reset(asha.user_id, "ravi", MORNING)).version == 1


async def test_a_change_that_waits_for_a_reset_stands_on_the_defaults(database: Database) -> None:
    asha = await person(database)
    await _update(database, asha.user_id, {"rsi_period": 14})
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).reset(asha.user_id, "ravi", MORNING)
        waiting = asyncio.create_task(_update(database, asha.user_id, {"max_portfolio_size": 8}))
        await until(lambda: _waits(database))
    after = await waiting
    assert (after.version, after.config) == (4, replace(DEFAULTS, max_portfolio_size=8))


async def test_a_user_has_one_configuration(database: Database) -> None:
    asha = await person(database)
    with pytest.raises(ConfigError, match="reset"):
        async with database.transaction(asha.user_id) as session:
            await UserTradingConfigRepository(session).create(asha.user_id)


@pytest.mark.parametrize(("lower", "upper", "equal"), RISING)
async def test_the_database_refuses_fields_that_disagree_too(
    database: Database, lower: str, upper: str, equal: bool
) -> None:
    asha = await person(database)
    value = max(RANGES[lower][0], RANGES[upper][0])
    wrong = f"UPDATE user_trading_config SET {lower} = :low, {upper} = :high WHERE user_id = :user_id"
    values = {"low": value + (0.5 if equal else 0), "high": value, "user_id": asha.user_id}
    with pytest.raises(IntegrityError, match="_order"):
        async with database.transaction(None) as session:
            await session.execute(text(wrong), values)


async def test_two_changes_at_once_are_two_versions(database: Database) -> None:
    asha = await person(database)

    async def change(field: str, value: object) -> int:
        async with database.transaction(asha.user_id) as session:
            return (
                await UserTradingConfigRepository(session).update(asha.user_id, {field: value}, "ravi", MORNING)
            ).version

    assert sorted(await asyncio.gather(change("rsi_period", 14), change("max_portfolio_size", 8))) == [2, 3]
    async with database.reading(asha.user_id) as session:
        config = (await UserTradingConfigRepository(session).get(asha.user_id)).config
    assert (config.rsi_period, config.max_portfolio_size) == (14, 8)


async def test_another_rsi_period_is_another_parameter_set(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        before = await configs.get(asha.user_id)
        after = await configs.update(asha.user_id, {"rsi_period": 14}, "ravi", MORNING)
        assert (await configs.parameters(after.parameter_hash)).parameters["rsi_period"] == 14
    assert before.parameter_hash != after.parameter_hash


async def test_a_running_execution_keeps_its_version_and_the_next_one_sees_the_change(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    bells = [await queued(database, "buy_orders", asha, subject=name) for name in ("first", "second")]

    async def claim(number: int) -> int | None:
        async with database.transaction(None) as session:
            [execution], _ = await LedgerRepository(session).claim([bells[number]], "w1")
        return execution.config_version

    first = await claim(0)
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).update(asha.user_id, {"rsi_period": 14}, "ravi", MORNING)
    second = await claim(1)
    async with database.reading(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        periods = [(await configs.snapshot(asha.user_id, version)).config.rsi_period for version in (first, second)]
    assert periods == [10, 14]


async def test_another_attempt_of_an_execution_keeps_its_version(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    bell = await queued(database, "buy_orders", asha)
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], "w1")
        await UserTradingConfigRepository(session).update(asha.user_id, {"rsi_period": 14}, "ravi", MORNING)
        await session.execute(text("UPDATE service_task_execution SET status = 'queued'"))
        [again], _ = await LedgerRepository(session).claim([bell], "w1")
    assert again.config_version == 1


async def test_a_version_that_never_was_is_refused_and_so_is_another_users(database: Database) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    await _update(database, asha.user_id, {"rsi_period": 14})
    for user_id, version in ((asha.user_id, 3), (bala.user_id, 2)):
        async with database.reading(None) as session:
            with pytest.raises(ConfigError, match="muhurat config versions"):
                await UserTradingConfigRepository(session).snapshot(user_id, version)


async def test_a_paper_account_begins_with_the_configured_money(database: Database) -> None:
    config = replace(DEFAULTS, paper_trading_initial_capital=Decimal(250_000))
    await person(database, config=config)
    assert await scalar(database, "SELECT cash FROM broker_accounts") == 250_000


async def test_the_task_schedule_is_what_the_subscriptions_are(database: Database) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    async with database.transaction(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        await configs.update(asha.user_id, {"task_schedule": {"buy_orders": False}}, "ravi", MORNING)
        assert (await configs.task_schedule(asha.user_id))["buy_orders"] is False
        await session.execute(text("UPDATE schedule_subscriptions SET enabled = true"))
        assert (await configs.task_schedule(asha.user_id))["buy_orders"] is True
        await configs.update(asha.user_id, {"task_schedule": {"sell_monitor": False}}, "ravi", MORNING)
        await configs.update(asha.user_id, {"task_schedule": None}, "ravi", MORNING)
        assert (await session.execute(text("SELECT task_schedule IS NULL FROM user_trading_config"))).scalar_one()
        assert all((await configs.task_schedule(asha.user_id)).values())
    async with database.reading(bala.user_id) as session:
        assert all((await UserTradingConfigRepository(session).task_schedule(bala.user_id)).values())


async def test_a_switched_task_is_audited_and_is_no_version(database: Database) -> None:
    asha = await person(database)
    same = await _update(database, asha.user_id, {"task_schedule": {"buy_orders": False}})
    assert same.version == 1
    changes = await scalar(database, "SELECT changes -> 'task_schedule' FROM audit_logs")
    assert [one["buy_orders"] for one in changes] == [True, False]  # type: ignore[attr-defined]  # before and after


@pytest.mark.parametrize("asked", ["off", {"buy_orders": "no"}, ["buy_orders"]])
async def test_a_task_schedule_of_another_form_is_refused(database: Database, asked: object) -> None:
    asha = await person(database)
    with pytest.raises(ConfigError, match="task_schedule"):
        await _update(database, asha.user_id, {"task_schedule": asked})


async def test_an_unknown_task_is_refused_with_those_there_are(database: Database) -> None:
    asha = await person(database)
    with pytest.raises(ConfigError, match="buy_orders"):
        await _update(database, asha.user_id, {"task_schedule": {"lunch": True}})


async def test_a_user_without_a_configuration_is_told_the_cure(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        configs = UserTradingConfigRepository(session)
        await configs.delete(asha.user_id, "ravi")
        with pytest.raises(ConfigError, match="muhurat config reset"):
            await configs.get(asha.user_id)
        assert (await configs.create(asha.user_id, by="ravi", at=MORNING)).version == 2


async def test_a_removed_configuration_is_audited_with_who(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).delete(asha.user_id, "ravi")
        with pytest.raises(ConfigError):
            await UserTradingConfigRepository(session).delete(asha.user_id, "ravi")
    told = "SELECT concat_ws(' ', actor, action, resource_type, changes ->> 'version') FROM audit_logs"
    assert await scalar(database, told) == "ravi delete config [1, null]"


async def test_a_wish_stays_when_another_task_is_switched(database: Database) -> None:
    asha = await person(database)
    for task in ("buy_orders", "sell_monitor"):
        await _update(database, asha.user_id, {"task_schedule": {task: False}})
    wished = await scalar(database, "SELECT task_schedule FROM user_trading_config")
    assert wished == {"buy_orders": False, "sell_monitor": False}


async def test_a_later_account_is_subscribed_as_the_user_wishes(database: Database) -> None:
    asha = await person(database)
    await _update(database, asha.user_id, {"task_schedule": {"buy_orders": False, "eod_cleanup": True}})
    async with database.transaction(None) as session:
        account = await UserRepository(session).add_paper_account(asha.user_id, "second", DEFAULTS, MORNING)
    off = (
        "SELECT array_agg(d.name) FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id "
        "WHERE s.account_id = :account AND NOT s.enabled"
    )
    assert await scalar(database, off, account=account) == ["buy_orders"]
