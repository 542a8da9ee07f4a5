"""The users of a predecessor's database: who they are, how they traded, and their configuration made ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from ops.importers.database_rows import Row, counts, rows_of
from ops.importers.database_schema import CONFIG, SETTINGS, USERS, Schema
from ops.importers.errors import NoSourceError
from ops.importers.target import usable_config
from trading.config import DEFAULTS, TradingConfig

# Made by the predecessor's first migration, so that rows of nobody had an owner.
_SYSTEM = "system@tradeagent.local"
_NAMED = 20


@dataclass(frozen=True, slots=True)
class SourceUser:
    """A user there. records: orders and positions. mode: `paper` or `broker`, None where it is not told.

    left: fields of the configuration that are not taken, each with why.
    """

    id: Any
    email: str
    records: int
    mode: str | None = None
    config: TradingConfig = DEFAULTS
    left: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """How they traded, for people."""
        known = {"paper": "traded on paper", "broker": "traded through a broker"}
        return known.get(self.mode or "", "does not say whether on paper or through a broker")


def users_of(connection: Connection, schema: Schema) -> list[SourceUser]:
    """Return every user by id, but for the system's own that owns nothing."""
    settings = _by_user(connection, schema, SETTINGS)
    configs = _by_user(connection, schema, CONFIG)
    table = schema.table(USERS)
    users = []
    for row in rows_of(connection, select(table).order_by(table.c.id)):
        records = counts(connection, schema, row["id"])
        email = str(row["email"]).strip().lower()
        if not records and email == _SYSTEM:
            continue
        mode = settings.get(row["id"], {}).get("trade_mode")
        mode = mode.strip().lower() if isinstance(mode, str) else None
        config, left = config_of(configs.get(row["id"], {}))
        users.append(SourceUser(row["id"], email, records, mode, config, left))
    return users


def chosen(users: Sequence[SourceUser], email: str | None, shown: str, *, single: bool) -> list[SourceUser]:
    """Return the users to bring in: the one of an e-mail, else all. single: only one can be. Raises NoSourceError."""
    listed = ", ".join(f"{one.email} ({one.records} records)" for one in users[:_NAMED]) or "nobody"
    if email is not None:
        found = [one for one in users if one.email == email.strip().lower()]
        if not found:
            raise NoSourceError(f"{shown}: has no user {email!r}; it has {listed}")
        return found
    if not users:
        raise NoSourceError(f"{shown}: has no users; there is nothing to bring in")
    traded = [one for one in users if one.records]
    if not single or len(users) == 1:
        return list(users)
    if len(traded) == 1:
        return traded
    raise NoSourceError(f"{shown}: has several users; choose with --source-user one of {listed}")


def config_of(row: Row) -> tuple[TradingConfig, dict[str, Any]]:
    """Return a stored configuration as ours, and what of it is not taken: fields out of range, each with why."""
    return usable_config({name: _value(name, row[name]) for name in DEFAULTS.__slots__ if row.get(name) is not None})


def _value(name: str, value: Any) -> Any:
    """Return a value as a field takes it; SQLite has no truth values."""
    return bool(value) if isinstance(getattr(DEFAULTS, name), bool) and value in (0, 1) else value


def _by_user(connection: Connection, schema: Schema, name: str) -> dict[Any, Row]:
    if not schema.has(name, "user_id"):
        return {}
    table = schema.table(name)
    return {row["user_id"]: row for row in rows_of(connection, select(table).order_by(table.c.user_id))}
