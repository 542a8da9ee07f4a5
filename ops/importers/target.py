"""Who an import is for: a user, found or signed up, and one of the accounts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit_logs import AuditLogRepository
from db.import_values import Target
from db.lookups import LookupRepository
from db.users import UserRepository
from ops.importers.errors import NoTargetError
from trading.config import DEFAULTS, RISING, ConfigError, TradingConfig
from trading.config_changes import changed

PAPER = "paper"
_ACCOUNT = text("SELECT id, code, mode, venue FROM broker_accounts WHERE user_id = :user_id AND name = :name")
_ACCOUNTS = text("SELECT name FROM broker_accounts WHERE user_id = :user_id ORDER BY id")


async def find_target(
    session: AsyncSession,
    user: str,
    account: str,
    actor: str,
    *,
    create: bool,
    open_account: bool = False,
    config: TradingConfig = DEFAULTS,
) -> Target:
    """Return where an import goes. create: sign the user up, stopped, when there is none, with a configuration.

    account: a name. open_account: open a paper account of that name when there is none. Raises NoTargetError.
    """
    users = LookupRepository(session)
    user_id = await users.user_id(user)
    now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
    if user_id is None:
        if not create:
            raise NoTargetError(f"there is no user {user!r}: add --create-user, or see `muhurat users`")
        made = await UserRepository(session).sign_up(user, user.partition("@")[0], config, now)
        user_id = made.user_id
        await AuditLogRepository(session).record(
            actor, "create", "user", user_id, user_id=user_id, changes={"email": user, "by": "import"}
        )
    found = await _account(session, user_id, account)
    if found is None and open_account:
        await UserRepository(session).add_paper_account(user_id, account, config, now)
        found = await _account(session, user_id, account)
    if found is None:
        names = ", ".join((await session.execute(_ACCOUNTS, {"user_id": user_id})).scalars())
        raise NoTargetError(f"{user} has no account {account!r}: use --account with one of {names}")
    return Target(user_id, found["id"], found["code"], found["mode"], found["venue"])


def usable_config(values: Mapping[str, Any]) -> tuple[TradingConfig, dict[str, Any]]:
    """Return the configuration that an old one means, and what of it is not taken.

    A field that has no counterpart here is left with its value, one that is out of range with the reason as well.
    """
    known = {name: values[old] for old, name in _CONFIG_FIELDS.items() if values.get(old) is not None}
    left = {name: value for name, value in values.items() if name not in _CONFIG_FIELDS}
    while True:
        try:
            config = changed(DEFAULTS, known)
        except ConfigError as error:
            for name in _blamed(error.field, known):
                left[name] = f"{known.pop(name)}: {error.cure}"
        else:
            # One purchase was never capped below what it may spend.
            return replace(config, max_order_value=max(config.max_order_value, config.user_capital)), left


def _blamed(name: str, values: Mapping[str, Any]) -> list[str]:
    """Return the fields to leave out: the named one, or, where it has its default, those it must agree with."""
    if name in values:
        return [name]
    pairs = {one for low, high, _ in RISING if name in (low, high) for one in (low, high)}
    return [one for one in pairs if one in values] or list(values)


# Of the paper trading configuration; a position's largest size was what one purchase may spend.
_CONFIG_FIELDS = {"initial_capital": "paper_trading_initial_capital", "max_position_size": "user_capital"} | {
    name: name for name in DEFAULTS.__slots__
}


async def _account(session: AsyncSession, user_id: int, name: str) -> Mapping[str, Any] | None:
    found = (await session.execute(_ACCOUNT, {"user_id": user_id, "name": name})).mappings().one_or_none()
    return None if found is None else dict(found)
