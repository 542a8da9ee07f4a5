"""`muhurat config`: what a user trades by: shown, changed, compared, put back, and by whom."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

Owner = Annotated[str, typer.Option("--user", metavar="EMAIL", help="Whose configuration, by e-mail or id.")]
Version = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=o.LARGEST_INTEGER, help="A version; unset: the current one.")
]
Before = Annotated[
    int | None,
    typer.Option("--from", metavar="N", min=1, max=o.LARGEST_INTEGER, help="A version; unset: the defaults."),
]
After = Annotated[
    int | None,
    typer.Option("--to", metavar="N", min=1, max=o.LARGEST_INTEGER, help="A version; unset: the current one."),
]

_TASKS = "task_schedule"

config = typer.Typer(
    no_args_is_help=True, help="What a user trades by. A change is for executions that begin after it."
)


@config.command()
def show(user: Owner, version: Version = None, json: o.Json = False) -> None:
    """Show every field by its purpose: what differs from the default is marked, and so is what is reserved."""
    from ops.cli.tables import print_json, print_rows
    from trading.config import RESERVED
    from trading.config_changes import to_json

    async def look(session: "AsyncSession", user_id: int) -> tuple[Any, dict[str, bool]]:
        configs = _configs(session)
        return await configs.snapshot(user_id, version), await configs.task_schedule(user_id)

    found, tasks = _read(user, look)
    values = to_json(found.config)
    if json:
        print_json({"version": found.version, "config": values, _TASKS: tasks, "reserved": sorted(RESERVED)})
        return
    print_rows(f"Configuration of {user}, version {found.version}", _by_purpose(values))
    typer.echo("tasks: " + ", ".join(f"{task} {'on' if fires else 'OFF'}" for task, fires in tasks.items()))


@config.command("set")
def set_fields(
    changes: Annotated[
        list[str], typer.Argument(metavar="FIELD=VALUE...", help="`off` clears a field that may be off.")
    ],
    user: Owner,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Change fields; all of them or, when one cannot be, none.

    An order sync that is switched off goes on while an account has live orders.

    [bold]Examples[/bold]

      muhurat config set --user asha@example.org rsi_oversold=28 default_stop_loss_pct=0.08 --as ravi

      muhurat config set --user asha@example.org task_schedule='{"buy_orders": false}' --as ravi
    """
    wanted = dict(_pair(text) for text in changes)

    async def change(session: "AsyncSession", user_id: int, actor: str) -> Any:
        return await _configs(session).update(user_id, wanted, actor, await _now(session))

    _change(user, as_, change, as_json=json)


@config.command("preset")
def apply_preset(
    name: Annotated[str, typer.Argument(help="conservative, moderate or aggressive.")],
    user: Owner,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Change the fields of a preset; the others stay."""

    async def change(session: "AsyncSession", user_id: int, actor: str) -> Any:
        return await _configs(session).apply_preset(user_id, name, actor, await _now(session))

    _change(user, as_, change, as_json=json)


@config.command()
def reset(user: Owner, as_: o.As = None, json: o.Json = False) -> None:
    """Put every field back to its default and every task on, as a new version; the old ones stay readable."""

    async def change(session: "AsyncSession", user_id: int, actor: str) -> Any:
        return await _configs(session).reset(user_id, actor, await _now(session))

    _change(user, as_, change, as_json=json)


@config.command()
def diff(user: Owner, first: Before = None, last: After = None, json: o.Json = False) -> None:
    """Show the fields that differ between two versions, or from the defaults; with these also the tasks, as they are.

    Which tasks fire is no part of a version: the audit log has who switched them.
    """
    from ops.cli.tables import print_json, print_rows
    from trading.config import DEFAULTS
    from trading.config_changes import difference

    async def look(session: "AsyncSession", user_id: int) -> Any:
        configs = _configs(session)
        before = (await configs.snapshot(user_id, first)).config if first is not None else DEFAULTS
        found = difference(before, (await configs.snapshot(user_id, last)).config)
        tasks = await configs.task_schedule(user_id) if (first, last) == (None, None) else {}
        return found | _switched_off(tasks)

    found = _read(user, look)
    if json:
        print_json(found)
        return
    rows = [{"field": name, "before": _said(old), "after": _said(new)} for name, (old, new) in found.items()]
    print_rows("Differences", rows, empty="none")
    if (first, last) != (None, None):
        typer.echo("which tasks fire is no part of a version: `muhurat config diff` without one has those that do not")


@config.command()
def versions(user: Owner, json: o.Json = False) -> None:
    """List every version: who made it, when."""
    from ops.cli.tables import print_json, print_rows

    async def look(session: "AsyncSession", user_id: int) -> Any:
        return [
            {"version": row.version, "changed_at": row.changed_at, "changed_by": row.changed_by}
            for row in await _configs(session).versions(user_id)
        ]

    found = _read(user, look)
    if json:
        print_json({"versions": found})
    else:
        print_rows("Versions (times in IST)", found)


def _by_purpose(values: dict[str, Any]) -> list[dict[str, Any]]:
    from trading.config import DEFAULTS, GROUPS, RESERVED
    from trading.config_changes import to_json

    defaults = to_json(DEFAULTS)
    return [
        {
            "for": purpose if name == names[0] else "",
            "field": name,
            "value": _said(values[name]),
            "default": "" if values[name] == defaults[name] else _said(defaults[name]),
            "note": "reserved: nothing reads news yet" if name in RESERVED else "",
        }
        for purpose, names in GROUPS.items()
        for name in names
    ]


def _switched_off(tasks: dict[str, bool]) -> dict[str, Any]:
    """Return how tasks differ from the default, which is that all of them fire."""
    off = {task: fires for task, fires in tasks.items() if not fires}
    return {_TASKS: [dict.fromkeys(off, True), off]} if off else {}


def _configs(session: "AsyncSession") -> Any:
    from db.configs import UserTradingConfigRepository

    return UserTradingConfigRepository(session)


async def _now(session: "AsyncSession") -> Any:
    from db.clock import ClockRepository

    return (await ClockRepository(session).read()).now


def _read(user: str, look: Any) -> Any:
    from db.lookups import LookupRepository
    from ops.cli.reach import reading
    from ops.cli.status import user_named

    async def work(session: "AsyncSession") -> Any:
        return await look(session, await user_named(LookupRepository(session), user))

    return reading(work)


def _change(user: str, as_: str | None, change: Any, *, as_json: bool) -> None:
    from db.lookups import LookupRepository
    from ops.cli.reach import changing
    from ops.cli.status import user_named
    from ops.cli.tables import say_done

    async def work(session: "AsyncSession", actor: str) -> dict[str, Any]:
        user_id = await user_named(LookupRepository(session), user)
        after = await change(session, user_id, actor)
        return {"user_id": user_id, "version": after.version}

    say_done(changing(as_, work), "the configuration of what begins from now on", as_json=as_json)


def _pair(text: str) -> tuple[str, Any]:
    from json import JSONDecodeError, loads

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r} is no FIELD=VALUE: write it like rsi_oversold=28")
    if name.strip() != _TASKS:
        return name.strip(), value
    try:
        return name.strip(), None if value.strip() in ("", "off", "null", "none") else loads(value)
    except JSONDecodeError:
        raise typer.BadParameter("task_schedule takes an object: task_schedule='{\"buy_orders\": false}'") from None


def _said(value: object) -> object:
    return "off" if value is None else value
