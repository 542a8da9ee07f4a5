"""`muhurat replay` and `muhurat demo`: from a wish to a report on the screen."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime

import typer
from rich.console import Console

from ops.cli.screen import Screen
from ops.cli.show import show_next, show_plan, show_report
from ops.doors import forget_foreign_servers
from ops.local import FOLDER, running
from ops.replay.plan import Plan, Request, make_plan
from ops.replay.report import Report
from ops.replay.run import LOGS, run_replay

PLACE = FOLDER / "replay"

_INTRODUCTION = (
    "[bold]Muhurat[/bold] runs automated trading for many users. What follows is the real thing on a past period: "
    "embedded Postgres and Valkey, the scheduler, and worker processes. After each close the day's prices are loaded, "
    "the analysis looks for dips once for all users, each account's strategy buys what its own configuration lets "
    "through, a paper venue fills the orders at the next open, and every step is an execution recorded in Postgres. "
    "Nothing outside this folder is touched. Ctrl-C stops everything.\n"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """The options as given."""

    data: str
    first: datetime | None
    last: datetime | None
    users: int
    accounts_per_user: int
    seed: int
    workers: int
    threads: int

    def request(self) -> Request:
        """Return the request that the options make."""
        return Request(
            data=self.data,
            first=self.first.date() if self.first else None,
            last=self.last.date() if self.last else None,
            users=self.users,
            accounts_per_user=self.accounts_per_user,
            seed=self.seed,
            workers=self.workers,
            threads=self.threads,
        )


def play(wish: Wish, *, as_json: bool, keep: bool, demo: bool) -> None:
    """Replay and show. as_json: one object on stdout, all else on stderr. keep: leave the database behind."""
    console = Console(stderr=as_json)
    forget_foreign_servers()
    if demo:
        console.print(_INTRODUCTION, highlight=False)
    with Console(stderr=True).status("Reading prices"):
        plan = asyncio.run(make_plan(wish.request()))
    show_plan(console, plan)
    report = _run(plan, keep=keep)
    show_report(console, plan, report)
    if demo:
        show_next(console, PLACE / LOGS)
    if as_json:
        typer.echo(json.dumps(report.summary))


def _run(plan: Plan, *, keep: bool) -> Report:
    screen = Screen(Console(stderr=True))
    with screen:
        screen.stage("Starting Postgres and Valkey", 0, 1)
        with running(PLACE, fresh=True, keep=keep, durable=False) as servers:
            screen.stage("Starting Postgres and Valkey", 1, 1)
            return asyncio.run(run_replay(plan, servers, PLACE, screen))
