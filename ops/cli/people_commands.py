"""`muhurat users` and `muhurat accounts`: who trades, and the switches that start, stop and block."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="A user, by e-mail or id.")]
AccountId = Annotated[
    int,
    typer.Argument(min=1, max=o.LARGEST_ID, metavar="ACCOUNT", help="An account's id, as `muhurat accounts` lists it."),
]

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST_ADDRESS = 255  # as the column keeps
# What a line of a table has room for.
_COLUMNS = (
    "id", "email", "name", "role", "is_active", "service", "last_heartbeat", "last_task_execution", "error_count",
    "last_error", "config_version", "accounts",
)  # fmt: skip

users = typer.Typer(invoke_without_command=True, help="Users: list, add, start and stop their service.")
accounts = typer.Typer(invoke_without_command=True, help="Accounts: list, block and unblock.")


@users.callback()
def list_users(context: typer.Context, limit: o.Limit = 50, after: o.After = 0, json: o.Json = False) -> None:
    """List users with their service."""
    if context.invoked_subcommand is not None:
        return
    from db.lookups import LookupRepository
    from ops.cli.reach import reading

    rows = reading(lambda session: LookupRepository(session).users(limit + 1, after))
    _print("users", rows, limit, as_json=json, columns=_COLUMNS)


@users.command("add")
def add_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    name: Annotated[str, typer.Option(help="What to call the user.")] = "",
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Sign a user up, with default configuration, a paper account and every default task; not started yet."""
    from db.clock import ClockRepository
    from db.lookups import LookupRepository
    from db.users import UserRepository
    from ops.cli.reach import changing
    from ops.cli.tables import say_done
    from trading.config import DEFAULTS

    address = _address(email)

    async def add(session: "AsyncSession", actor: str) -> dict[str, Any]:
        if await LookupRepository(session).user_id(address) is not None:
            raise typer.BadParameter(f"{address!r} is taken: see `muhurat users`, or give another address")
        now = (await ClockRepository(session).read()).now
        made = await UserRepository(session).sign_up(address, name or email.strip().partition("@")[0], DEFAULTS, now)
        await _audit(session, actor, "create", "user", made.user_id, made.user_id, {"email": address})
        return {"user_id": made.user_id, "account_id": made.account_id, "email": address}

    say_done(changing(as_, add), "signed up; start the service with `muhurat users start`", as_json=json)


@users.command("start")
def start_user(email: Email, as_: o.As = None, json: o.Json = False) -> None:
    """Let a user's schedules fire from now on.

    What trading needs is looked at first: configuration, an active account, credentials and address of one at a broker,
    schedules, the calendar of today and of the next session. All that is missing is told at once, and nothing changes.
    """
    from ops.cli.service_work import start

    start(email, as_, as_json=json)


@users.command("stop")
def stop_user(email: Email, as_: o.As = None, json: o.Json = False) -> None:
    """Let nothing new begin for a user.

    What runs goes on, what has not begun is cancelled; orders that live at a broker are looked after until they are
    final, and those that are on their way are seen to their end. A buy that was not sent yet is denied.
    """
    from ops.cli.service_work import stop

    stop(email, as_, as_json=json)


@accounts.callback()
def list_accounts(context: typer.Context, user: o.User = None, limit: o.Limit = 50, json: o.Json = False) -> None:
    """List accounts with cash, positions and live orders."""
    if context.invoked_subcommand is not None:
        return
    from db.lookups import LookupRepository
    from db.overview import OverviewRepository
    from ops.cli.reach import reading
    from ops.cli.status import user_named

    async def look(session: "AsyncSession") -> Any:
        user_id = await user_named(LookupRepository(session), user) if user is not None else None
        return await OverviewRepository(session, user_id).accounts(limit + 1)

    _print("accounts", reading(look), limit, as_json=json)


@accounts.command("block")
def block_account(account: AccountId, as_: o.As = None, json: o.Json = False) -> None:
    """Let an account plan no new order; what lives at the broker is still looked after."""
    _set_status(account, "blocked", as_, as_json=json)


@accounts.command("unblock")
def unblock_account(account: AccountId, as_: o.As = None, json: o.Json = False) -> None:
    """Let a blocked account trade again."""
    _set_status(account, "active", as_, as_json=json)


def _address(text: str) -> str:
    """Return an e-mail address as it is stored. Raises typer.BadParameter for what no mail can be sent to."""
    address = text.strip().lower()
    if not _ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS:
        raise typer.BadParameter(f"{text!r} is no e-mail address: write it like asha@example.org")
    return address


def _set_status(account_id: int, status: str, as_: str | None, *, as_json: bool) -> None:
    from db.accounts import AccountRepository
    from ops.cli.reach import changing
    from ops.cli.tables import say_done

    async def change(session: "AsyncSession", actor: str) -> dict[str, Any]:
        account = await AccountRepository(session).find(account_id)
        if account is None:
            raise typer.BadParameter(f"there is no account {account_id}: see `muhurat accounts`")
        before, account.status = account.status, status
        await _audit(session, actor, "update", "account", account_id, account.user_id, {"status": [before, status]})
        return {"account_id": account_id, "status": status, "was": before}

    say_done(changing(as_, change), f"the account is {status}", as_json=as_json)


async def _audit(
    session: "AsyncSession", actor: str, action: str, kind: str, id_: int, user_id: int, changes: dict[str, Any]
) -> None:
    from db.audit_logs import AuditLogRepository

    await AuditLogRepository(session).record(actor, action, kind, id_, user_id=user_id, changes=changes)


def _print(what: str, rows: Any, limit: int, *, as_json: bool, columns: Sequence[str] = ()) -> None:
    from ops.cli.tables import print_json, print_rows

    shown, after = rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
    if as_json:
        print_json({what: shown, "next": after})
        return
    print_rows(
        f"{what.capitalize()} (times in IST)", shown, columns=columns, empty="none yet: `muhurat users add EMAIL`"
    )
    if after is not None:
        typer.echo(f"there are more: --limit {limit * 2}, or --after {after}")
