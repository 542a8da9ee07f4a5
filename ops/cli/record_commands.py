"""`muhurat executions`, `orders`, `positions`: what was done, newest first, and everything about one of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from ops.cli import options as o

Before = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where the last list ended.")]
Symbol = Annotated[str | None, typer.Option(metavar="SYMBOL", help="One symbol.")]
Status = Annotated[str | None, typer.Option(metavar="STATUS", help="One status.")]
Execution = Annotated[int, typer.Argument(min=1, max=o.LARGEST_ID, metavar="EXECUTION", help="An execution's id.")]
Order = Annotated[int, typer.Argument(min=1, max=o.LARGEST_ID, metavar="ORDER", help="An order's id.")]

executions = typer.Typer(no_args_is_help=True, help="Runs of tasks: what ran, when, and how it ended.")
orders = typer.Typer(no_args_is_help=True, help="Orders, every step of their life, their fills.")
positions = typer.Typer(no_args_is_help=True, help="What accounts hold, and what they held.")

Rows = list[Mapping[str, Any]]


@executions.command("list")
def list_executions(
    user: o.User = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="One task, such as buy_orders.")] = None,
    status: Status = None,
    day: o.Day = None,
    limit: o.Limit = 30,
    before: Before = None,
    json: o.Json = False,
) -> None:
    """List executions, newest slot first."""
    from db.executions import STATUSES
    from trading.calendar import ist
    from worker.messages import TASKS

    slot, execution_id = _slot_cursor(before)
    first = ist(day.date(), day.time()) if day else None
    wanted = {
        "task": o.known_word("--task", task, TASKS),
        "status": o.known_word("--status", status, STATUSES),
        "first": first,
        "last": first + timedelta(days=1) if first else None,
        "before_slot": slot,
        "before": execution_id,
    }
    rows = _found(user, lambda lookups, user_id: lookups.executions(limit + 1, user_id=user_id, **wanted))
    _print(
        "executions", rows, limit, as_json=json, cursor=lambda row: f"{row['scheduled_for'].isoformat()}/{row['id']}"
    )


@executions.command("show")
def show_execution(execution_id: Execution, json: o.Json = False) -> None:
    """Show one execution: attempts, errors with the end of their trace, follow-ups, orders, log lines."""
    found = _found(None, lambda lookups, _: lookups.execution(execution_id))
    _print_one("execution", execution_id, found, as_json=json)


@orders.command("list")
def list_orders(
    user: o.User = None,
    status: Status = None,
    symbol: Symbol = None,
    limit: o.Limit = 30,
    before: Before = None,
    json: o.Json = False,
) -> None:
    """List orders, newest first."""
    from trading.orders import OrderState

    known = o.known_word("--status", status, [state.value for state in OrderState])
    wanted = {"status": known, "symbol": symbol, "before": _id_cursor(before)}
    rows = _found(user, lambda lookups, user_id: lookups.orders(limit + 1, user_id=user_id, **wanted))
    _print("orders", rows, limit, as_json=json)


@orders.command("show")
def show_order(order_id: Order, json: o.Json = False) -> None:
    """Show one order: the decision it came from, every step, its fills."""
    found = _found(None, lambda lookups, _: lookups.order(order_id))
    _print_one("order", order_id, found, as_json=json)


@positions.command("list")
def list_positions(
    user: o.User = None,
    open_: Annotated[bool | None, typer.Option("--open/--closed", help="Only open or only closed ones.")] = None,
    symbol: Symbol = None,
    limit: o.Limit = 30,
    before: Before = None,
    json: o.Json = False,
) -> None:
    """List positions, newest first, with their re-entries."""
    wanted = {"open": open_, "symbol": symbol, "before": _id_cursor(before)}
    rows = _found(user, lambda lookups, user_id: lookups.positions(limit + 1, user_id=user_id, **wanted))
    _print("positions", rows, limit, as_json=json)


def _found(user: str | None, look: Callable[[Any, int | None], Awaitable[Any]]) -> Any:
    from db.lookups import LookupRepository
    from db.transaction import Database
    from ops.cli.reach import with_database
    from ops.cli.status import user_named

    async def work(database: Database) -> Any:
        async with database.reading(None) as session:
            lookups = LookupRepository(session)
            return await look(lookups, await user_named(lookups, user) if user is not None else None)

    return with_database(work)


def _print(
    what: str, rows: Rows, limit: int, *, as_json: bool, cursor: Callable[[Mapping[str, Any]], str] | None = None
) -> None:
    from ops.cli.tables import print_json, print_rows

    shown, more = rows[:limit], len(rows) > limit
    after = (cursor or (lambda row: str(row["id"])))(shown[-1]) if more else None
    if as_json:
        print_json({what: shown, "next": after})
        return
    print_rows(f"{what.capitalize()} (times in IST)", shown)
    if after:
        typer.echo(f"there are more: --before {after}")


def _print_one(what: str, id_: int, found: dict[str, Any] | None, *, as_json: bool) -> None:
    from ops.cli.tables import print_facts, print_json, print_rows

    if found is None:
        raise typer.BadParameter(f"there is no {what} {id_}: `muhurat {what}s list` shows those there are")
    if as_json:
        print_json(found)
        return
    lists: dict[str, Sequence[Mapping[str, Any]]] = {
        k: v for k, v in found.items() if isinstance(v, list) and v and isinstance(v[0], dict)
    }
    print_facts(f"{what.capitalize()} {id_} (times in IST)", {k: v for k, v in found.items() if k not in lists})
    for name, rows in lists.items():
        print_rows(name.replace("_", " "), rows)


def _id_cursor(text: str | None) -> int | None:
    return None if text is None else o.whole_number("--before", text)


def _slot_cursor(text: str | None) -> tuple[datetime | None, int | None]:
    if text is None:
        return None, None
    cure = f"--before {text}: give the cursor that the last list named, like 2026-01-05T03:45:00+00:00/71"
    slot, _, execution_id = text.rpartition("/")
    try:
        at = datetime.fromisoformat(slot)
    except ValueError:
        raise typer.BadParameter(cure) from None
    if at.tzinfo is None:  # whose clock it was read from, nobody knows
        raise typer.BadParameter(f"{cure}; it has no time zone")
    return at, o.whole_number("--before", execution_id)
