"""Each user's trading configuration: read, changed, put back, and kept in every version it ever had."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit_logs import AuditLogRepository
from db.config_rows import DEFAULT_STRATEGY, ConfigVersionRow, ParameterSetRow, UserTradingConfigRow
from db.subscriptions import SubscriptionRepository
from trading.config import DEFAULTS, ConfigError, TradingConfig, check_config
from trading.config_changes import changed, difference, from_json, preset, to_json
from trading.strategies.registry import strategy_named

__all__ = ["DEFAULT_STRATEGY", "ConfigSnapshot", "ParameterSetRow", "UserTradingConfigRepository"]

# Not a field of the strategies' value: it stands for the user's subscriptions.
TASK_SCHEDULE = "task_schedule"


@dataclass(frozen=True, slots=True)
class ConfigSnapshot:
    """A configuration as it stood when a step began, with the version that names it in the record."""

    config: TradingConfig
    strategy: str
    parameter_hash: str
    version: int


_CURRENT = select(UserTradingConfigRow).where(UserTradingConfigRow.user_id == bindparam("user_id"))
_LOCKED = _CURRENT.with_for_update()
_VERSION = select(ConfigVersionRow).where(
    ConfigVersionRow.user_id == bindparam("user_id"), ConfigVersionRow.version == bindparam("version")
)


class UserTradingConfigRepository:
    """Queries over configurations, and their changes. Every change is a version with who and when."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def create(
        self, user_id: int, config: TradingConfig = DEFAULTS, by: str = "sign-up", at: datetime | None = None
    ) -> ConfigSnapshot:
        """Store a configuration for a user who has none. at: market time, None: now. Raises ConfigError."""
        check_config(config)
        if (await self.session.execute(_CURRENT, {"user_id": user_id})).scalar_one_or_none() is not None:
            raise ConfigError("user", user_id, "has a configuration; change it, or `muhurat config reset` it")
        newest = select(func.coalesce(func.max(ConfigVersionRow.version), 0)).where(ConfigVersionRow.user_id == user_id)
        version = (await self.session.execute(newest)).scalar_one() + 1
        parameter_hash = await self._parameters_of(config)
        row = UserTradingConfigRow(
            user_id=user_id, version=version, strategy=DEFAULT_STRATEGY, parameter_hash=parameter_hash, **asdict(config)
        )
        self.session.add(row)
        await self.session.flush()
        snapshot = ConfigSnapshot(config, DEFAULT_STRATEGY, parameter_hash, version)
        await self._keep(user_id, snapshot, by, at)
        return snapshot

    async def snapshot(self, user_id: int, version: int | None = None) -> ConfigSnapshot:
        """Return a configuration as a value: of the named version, as an execution pins it, or the current one.

        Raises ConfigError when the user has none.
        """
        if version is None:
            return await self.get(user_id)
        row = (await self.session.execute(_VERSION, {"user_id": user_id, "version": version})).scalar_one_or_none()
        if row is None:
            raise ConfigError("version", version, f"user {user_id} never had it; `muhurat config versions` lists them")
        return ConfigSnapshot(from_json(row.config), row.strategy, row.parameter_hash, row.version)

    async def get(self, user_id: int) -> ConfigSnapshot:
        """Return the current configuration. Raises ConfigError when the user has none."""
        return _snapshot_of(await self._row(user_id, _CURRENT))

    async def update(
        self, user_id: int, changes: Mapping[str, object], by: str, at: datetime, *, action: str = "update"
    ) -> ConfigSnapshot:
        """Change some fields; None clears one that may be off. `task_schedule` switches the user's subscriptions.

        A change is for executions that begin after it. What changes nothing makes no version; tasks are no part of one,
        the audit log has them. at: market time. action: as it is audited. Raises ConfigError.
        """
        row = await self._row(user_id, _LOCKED)
        before = _snapshot_of(row)
        wanted = dict(changes)
        switched = await self._switch(row, wanted) if TASK_SCHEDULE in wanted else {}
        after = changed(before.config, wanted)
        differs = difference(before.config, after)
        if differs:
            await self._replace(row, after, by, at)
        if differs or switched:
            await AuditLogRepository(self.session).record(
                by, action, "config", row.id, user_id=user_id, changes={**differs, **switched}
            )
        return _snapshot_of(row)

    async def apply_preset(self, user_id: int, name: str, by: str, at: datetime) -> ConfigSnapshot:
        """Change the fields of a preset. Raises ConfigError."""
        return await self.update(user_id, preset(name), by, at)

    async def reset(self, user_id: int, by: str, at: datetime) -> ConfigSnapshot:
        """Put every field back to its default and every task on; a user who has no configuration gets one.

        What changes nothing makes no version.
        """
        # The row stays and is written over: one that were deleted would be missing to a change that waits for its lock.
        if (await self.session.execute(_LOCKED, {"user_id": user_id})).scalar_one_or_none() is None:
            await self.create(user_id, DEFAULTS, by, at)
            await AuditLogRepository(self.session).record(by, "create", "config", user_id=user_id)
        return await self.update(user_id, {**to_json(DEFAULTS), TASK_SCHEDULE: None}, by, at, action="reset")

    async def delete(self, user_id: int, by: str) -> None:
        """Remove the current configuration; its versions stay. Raises ConfigError when the user has none.

        Until there is one nothing fires for the user but the sync of an account with live orders.
        """
        row = await self._row(user_id, _LOCKED)
        await self.session.execute(delete(UserTradingConfigRow).where(UserTradingConfigRow.id == row.id))
        await AuditLogRepository(self.session).record(
            by, "delete", "config", row.id, user_id=user_id, changes={"version": [row.version, None]}
        )

    async def versions(self, user_id: int) -> list[ConfigVersionRow]:
        """Return every version, newest first."""
        query = select(ConfigVersionRow).where(ConfigVersionRow.user_id == user_id)
        return list((await self.session.execute(query.order_by(ConfigVersionRow.version.desc()))).scalars())

    async def task_schedule(self, user_id: int) -> dict[str, bool]:
        """Return which tasks fire for the user, as the subscriptions say."""
        return await SubscriptionRepository(self.session).tasks_of(user_id)

    async def parameters(self, parameter_hash: str) -> ParameterSetRow:
        """Return one parameter set."""
        query = select(ParameterSetRow).where(ParameterSetRow.hash == parameter_hash)
        return (await self.session.execute(query)).scalar_one()

    async def _row(self, user_id: int, query: Any) -> UserTradingConfigRow:
        row: UserTradingConfigRow | None = (
            await self.session.execute(query, {"user_id": user_id})
        ).scalar_one_or_none()
        if row is None:
            raise ConfigError("user", user_id, "has no configuration; `muhurat config reset` makes the default one")
        return row

    async def _replace(self, row: UserTradingConfigRow, config: TradingConfig, by: str, at: datetime) -> None:
        parameter_hash = await self._parameters_of(config)
        values = {**asdict(config), "parameter_hash": parameter_hash, "version": row.version + 1}
        query = update(UserTradingConfigRow).where(UserTradingConfigRow.id == row.id)
        await self.session.execute(query.values(**values, updated_at=func.now()))
        await self.session.refresh(row)
        await self._keep(row.user_id, _snapshot_of(row), by, at)

    async def _switch(self, row: UserTradingConfigRow, wanted: dict[str, object]) -> dict[str, Any]:
        """Take `task_schedule` out of the changes and switch the subscriptions it names. Returns what changed."""
        asked = wanted.pop(TASK_SCHEDULE)
        if asked is not None and not isinstance(asked, Mapping):
            raise ConfigError(TASK_SCHEDULE, asked, 'use an object such as {"buy_orders": false}, or null for all')
        subscriptions = SubscriptionRepository(self.session)
        before = await subscriptions.tasks_of(row.user_id)
        unknown = sorted(set(asked or {}) - set(before))
        if unknown:
            raise ConfigError(TASK_SCHEDULE, unknown[0], f"use tasks of {', '.join(before)}")
        if any(not isinstance(value, bool) for value in (asked or {}).values()):
            raise ConfigError(TASK_SCHEDULE, asked, "each task is true or false")
        await subscriptions.switch_tasks(row.user_id, asked)
        # SQL's null, not JSON's. What was wished before and is not named now stays wished.
        row.task_schedule = null() if asked is None else {**(row.task_schedule or {}), **asked}
        await self.session.flush()
        after = await subscriptions.tasks_of(row.user_id)
        return {TASK_SCHEDULE: [before, after]} if after != before else {}

    async def _parameters_of(self, config: TradingConfig) -> str:
        parameters = strategy_named(DEFAULT_STRATEGY).parameters(config)
        known = insert(ParameterSetRow).values(
            hash=parameters.hash, strategy=DEFAULT_STRATEGY, parameters=parameters.to_json()
        )
        await self.session.execute(known.on_conflict_do_nothing())
        return parameters.hash

    async def _keep(self, user_id: int, snapshot: ConfigSnapshot, by: str, at: datetime | None) -> None:
        self.session.add(
            ConfigVersionRow(
                user_id=user_id,
                version=snapshot.version,
                strategy=snapshot.strategy,
                parameter_hash=snapshot.parameter_hash,
                config=to_json(snapshot.config),
                changed_by=by,
                changed_at=at if at is not None else func.now(),
            )
        )
        await self.session.flush()


def _snapshot_of(row: UserTradingConfigRow) -> ConfigSnapshot:
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(TradingConfig)}
    return ConfigSnapshot(TradingConfig(**values), row.strategy, row.parameter_hash, row.version)
