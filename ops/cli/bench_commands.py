"""`muhurat bench`: what was promised, measured on servers of its own, and whether it holds here."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ops.cli import options as o

bench = typer.Typer(
    no_args_is_help=True,
    help="Measure what was promised, on embedded servers of its own. Code 1 if a bar is missed.",
)

_SECONDS_A_LINE = 20.0

Rounds = Annotated[int, typer.Option(min=1, max=99, help="How often to measure; each figure is the median.")]
Only = Annotated[
    str | None, typer.Option(metavar="NAME,NAME", help="Some of the figures that have a bar; else all of them.")
]
WithoutPeers = Annotated[
    bool, typer.Option("--without-peers", help="Ours and stock Dramatiq alone: needs nothing else installed.")
]


@bench.command("import")
def bench_import(
    trades: Annotated[int, typer.Option(min=1, max=2_000_000, help="Trades in the file, with re-entries.")] = 100_000,
    rounds: Rounds = 3,
    seed: o.Seed = 7,
    again: Annotated[
        float, typer.Option(min=0, max=1.3, help="Levels of the re-entry ladder that a trade took, on average.")
    ] = 0.34,
    json: o.Json = False,
) -> None:
    """Bring a file of trades in and dry-run it, on equal empty databases: trades a second, memory, and their ratio."""
    from rich.console import Console

    from ops.bench.importing import measure
    from ops.doors import forget_foreign_servers

    forget_foreign_servers()
    with Console(stderr=True).status("Starting") as screen:
        report = measure(trades, rounds, seed, again, screen.update)
    tell(report, as_json=json)


@bench.command("queue")
def bench_queue(
    rounds: Rounds = 3,
    only: Only = None,
    without_peers: WithoutPeers = False,
    old_rows: Annotated[int, typer.Option(min=0, max=100_000_000, help="Settled executions of earlier months.")] = (
        5_000_000
    ),
    executions: Annotated[
        int, typer.Option(min=1, max=100_000_000, help="After so many, memory is looked at again.")
    ] = 1_000_000,
    singles: Annotated[int, typer.Option(min=1, max=100_000, help="Messages whose pick-up is timed.")] = 250,
    scale: Annotated[float, typer.Option(min=0.001, max=100, help="Of the messages of each round: a quick look.")] = 1,
    json: o.Json = False,
) -> None:
    """Run executions through the queue, beside stock Dramatiq and others: rates, promptness, cost, fairness, memory."""
    from ops.bench.queue import BARS, OURS_ALONE, Sizes, measure, peers_missing
    from ops.doors import forget_foreign_servers

    names = _figures(only, BARS, OURS_ALONE if without_peers else BARS.keys())
    _refuse_without_peers(peers_missing(names))
    forget_foreign_servers()
    sizes = Sizes(rounds=rounds, scale=scale, old_rows=old_rows, singles=singles, executions=executions)
    with _progress() as told:
        report = measure(names, sizes, told)
    tell(report, as_json=json)


@bench.command("schedule")
def bench_schedule(
    users: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Subscribers; a tenth and a hundredth are measured too.")
    ] = 1_000_000,
    rounds: Rounds = 3,
    only: Only = None,
    without_peers: WithoutPeers = False,
    triggers: Annotated[
        int, typer.Option(min=1, max=10_000, help="Schedules of their own times, at most one a user.")
    ] = (10_000),
    idle_seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="How long an idle scheduler is looked at.")
    ] = 120,
    json: o.Json = False,
) -> None:
    """Fire one schedule for very many, beside others who only send: rates, promptness, lateness, idle cost, memory."""
    from ops.bench.schedule import NAMES, OURS_ALONE, Sizes, measure, peers_missing
    from ops.doors import forget_foreign_servers

    names = _figures(only, NAMES, OURS_ALONE if without_peers else NAMES)
    _refuse_without_peers(peers_missing(names))
    forget_foreign_servers()
    sizes = Sizes(users=users, rounds=rounds, triggers=triggers, idle_seconds=idle_seconds)
    with _progress() as told:
        report = measure(names, sizes, told)
    tell(report, as_json=json)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show on stderr what is done: all of it on a terminal, a line now and then elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    said_at = 0.0
    with console.status("Starting") as status:

        def told(line: str) -> None:
            nonlocal said_at
            status.update(line)
            if not console.is_terminal and time.monotonic() - said_at > _SECONDS_A_LINE:
                said_at = time.monotonic()
                console.print(line, highlight=False)

        yield told


def _figures(only: str | None, known: Collection[str], measurable: Collection[str]) -> set[str]:
    """Return the figures that are asked for, as far as they can be measured.

    Raises typer.BadParameter naming all there are, and when none is left.
    """
    names = set(known) if only is None else {name.strip() for name in only.split(",")}
    if unknown := sorted(names - set(known)):
        raise typer.BadParameter(f"--only {', '.join(unknown)}: no such figure; there are {', '.join(known)}")
    if not (names := names & set(measurable)):
        raise typer.BadParameter(f"--only {only}: without peers there is nothing left to measure")
    return names


def _refuse_without_peers(gone: Sequence[str]) -> None:
    """Raise typer.BadParameter when a peer is not installed, before anything is started."""
    if gone:
        raise typer.BadParameter(
            f"{', '.join(gone)}: not installed; pip install -r requirements-dev.txt, or say --without-peers"
        )


def tell(report: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what `ops.bench.report.measured` made. Raises typer.Exit with code 1 if a bar is missed."""
    from ops.cli.tables import print_facts, print_json, print_rows

    if as_json:
        print_json(report)
    else:
        bars = report["bars"]
        rows = [
            {"figure": name, "value": value, "bar": bars[name]["bar"], "holds": bars[name]["holds"]}
            if name in bars
            else {"figure": name, "value": value, "bar": None, "holds": None}
            for name, value in report["figures"].items()
        ]
        print_rows(f"bench {report['bench']}", rows)
        if "counted" in report:
            print_facts("Counted", report["counted"])
        print_facts("Measured on", {**report["machine"], **report["versions"]})
    if not report["holds"]:
        raise typer.Exit(1)
