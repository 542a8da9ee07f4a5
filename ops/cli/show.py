"""A replay's report as people read it: tables, a line of equity, and where to look next."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.replay.plan import Plan
from ops.replay.report import Report, TaskLine, UserLine

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 60  # a line of a narrow terminal, with the words beside it
_MOST_USERS = 40
_MOST_BAD_ROWS = 10


def show_plan(console: Console, plan: Plan) -> None:
    """Say what will be replayed, and what was wrong with the data."""
    first, last = plan.sessions[0].day, plan.sessions[-1].day
    symbols = len({bar.symbol for bar in plan.history})
    request = plan.request
    console.print(
        f"[bold]Replay[/bold] of {len(plan.sessions)} sessions, {first} to {last}; prices: "
        f"[bold]{plan.prices_name}[/bold], {symbols} symbols, {len(plan.history):,} bars of history; "
        f"{request.users} users, {request.workers} worker processes with {request.threads} threads",
        highlight=False,
        soft_wrap=True,
    )
    for row in plan.bad_rows[:_MOST_BAD_ROWS]:
        console.print(
            f"left out: {row.file} line {row.line}: {row.reason}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if len(plan.bad_rows) > _MOST_BAD_ROWS:
        console.print(
            f"left out: {len(plan.bad_rows) - _MOST_BAD_ROWS} more rows",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
    for warning in plan.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def show_report(console: Console, plan: Plan, report: Report) -> None:
    """Print the tables of a report."""
    console.print(_tasks(report.tasks))
    console.print(_users(report, plan))
    if len(report.users) > _MOST_USERS:
        console.print(
            f"{len(report.users) - _MOST_USERS} more users are left out here", highlight=False, soft_wrap=True
        )
    if report.curve:
        line = sparkline(sampled(report.curve, _CURVE_WIDTH))
        console.print(
            f"Equity of all accounts  {line}  {_rupees(report.curve[0])} to {_rupees(report.curve[-1])}",
            highlight=False,
            soft_wrap=True,
        )
    _say_errors(console, report)
    _say_sum(console, report)


def show_next(console: Console, logs: Path) -> None:
    """Say where to look next."""
    lines = (
        ("muhurat replay --help", "another period, your own bars, more users or workers"),
        ("muhurat up", "the same processes, live, on embedded servers"),
        (f"{logs}", "what scheduler and workers logged, JSON lines"),
        ("README.md", "the way of one execution, and where to change what"),
    )
    table = Table.grid(padding=(0, 3))
    for what, why in lines:
        table.add_row(Text(what, style="bold"), why)
    console.print("\nWhere to look next", style="bold")
    console.print(table)


def sampled(values: Sequence[Decimal], most: int) -> list[Decimal]:
    """Return so many values at most, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(number * (len(values) - 1) / (most - 1))] for number in range(most)]


def sparkline(values: Sequence[Decimal]) -> str:
    """Return one block a value, the lowest to the highest; equal values lie in the middle."""
    low, high = min(values), max(values)
    if low == high:
        return _BLOCKS[len(_BLOCKS) // 2] * len(values)
    return "".join(_BLOCKS[int((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in values)


def _tasks(lines: Sequence[TaskLine]) -> Table:
    table = Table(title="Tasks", title_justify="left", title_style="bold")
    table.add_column("task")
    for name in ("success", "failed", "skipped", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for line in lines:
        failed = Text(f"{line.failed:,}", style="bold red" if line.failed else "")
        table.add_row(
            line.task,
            f"{line.success:,}",
            failed,
            f"{line.skipped:,}",
            _milliseconds(line.p50),
            _milliseconds(line.p95),
        )
    return table


def _users(report: Report, plan: Plan) -> Table:
    held = report.buy_and_hold_pct
    table = Table(title=f"Users, prices: {plan.prices_name}", title_justify="left", title_style="bold")
    for name in ("user", "RSI", "model"):
        table.add_column(name)
    for name in ("orders", "fills", "open", "realised ₹", "return", "buy, hold"):
        table.add_column(name, justify="right", no_wrap=True)
    for user in report.users[:_MOST_USERS]:
        table.add_row(*_identity(user), *_result(user), "-" if held is None else f"{held:+.2f} %")
    return table


def _identity(user: UserLine) -> tuple[str, str, str]:
    return user.name, str(user.rsi_period), "yes" if user.ml_enabled else "-"


def _result(user: UserLine) -> tuple[str, str, str, str, Text]:
    gain = user.return_pct
    return (
        f"{user.orders:,}",
        f"{user.fills:,}",
        f"{user.open_positions:,}",
        f"{user.realised:,.0f}",
        Text(f"{gain:+.2f} %", style="green" if gain > 0 else "red" if gain < 0 else ""),
    )


def _say_errors(console: Console, report: Report) -> None:
    if not report.error_count:
        return
    console.print(
        f"{report.error_count} errors were recorded; the newest kinds:", style="red", highlight=False, soft_wrap=True
    )
    for error in report.errors:
        console.print(
            f"  {error.task or '-'}: {error.kind}: {error.message} ({error.times} times)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _say_sum(console: Console, report: Report) -> None:
    summary = report.summary
    console.print(
        f"{summary['executions']['success']:,} executions succeeded, {summary['unfinished']} are unfinished; "
        f"{summary['orders']:,} orders, {summary['fills']:,} fills, {summary['models_trained']} models trained "
        f"in {summary['seconds']:.0f} s. Digest {summary['digest'][:16]}",
        highlight=False,
        soft_wrap=True,
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f}"


def _rupees(amount: Decimal) -> str:
    return f"₹{amount:,.0f}"
