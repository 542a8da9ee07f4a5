"""What the queue commands do: they reach the servers, look or act, and print."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer
from rich.console import Console

from config.settings import read_settings
from db.lookups import LookupRepository
from ops.cli.queue_tables import print_results
from ops.cli.reach import operator_named, with_servers
from ops.cli.status import user_named
from ops.cli.tables import print_json
from worker.bells.ringing import Bells
from worker.inspection.acting import Selection, act, act_on_all, resolve, select
from worker.inspection.listing import BadCursorError
from worker.inspection.reach import Reach, Wish
from worker.inspection.results import Action, Command, Edit, Group, Ref, Result, Verdict

T = TypeVar("T")

# What one command tells of in full; of more it tells how many there were.
MOST_TOLD = 1000
FAILED = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for: these ids, or all that filters match. user: by e-mail or id."""

    ids: Sequence[str]
    wish: Wish
    user: str | None
    all_matching: bool
    dry_run: bool
    yes: bool
    by: str | None
    as_json: bool


def inspecting(work: Callable[[Reach], Awaitable[T]]) -> T:
    """Run a look or an act on the servers of the environment. Raises typer.BadParameter for a cursor of no list."""
    return with_bells(lambda reach, _: work(reach))


def with_bells(work: Callable[[Reach, Bells], Awaitable[T]]) -> T:
    """Run a look that needs the bells too."""
    share = read_settings().worker.share

    async def on(database: Any, urls: Any) -> T:
        bells = Bells(urls.redis)
        try:
            return await work(Reach(database, bells.redis, share), bells)
        except BadCursorError as error:
            raise typer.BadParameter(f"--before {error}") from error
        finally:
            await bells.close()

    return with_servers(on)


async def wish_of(reach: Reach, wish: Wish, user: str | None) -> Wish:
    """Return a wish with the user who was named. Raises typer.BadParameter when there is none of that name."""
    if user is None:
        return wish
    async with reach.database.reading(None) as session:
        return replace(wish, user_id=await user_named(LookupRepository(session), user))


def perform(group: Group, action: Action, asked: Asked, edit: Edit) -> None:
    """Act on what was asked for, and print what became of each. Raises typer.Exit with code 1 unless all was done.

    Of all that a filter matched some may go on by themselves meanwhile: there one that was done is enough.
    """
    filtered = any(value is not None for value in (*asdict(asked.wish).values(), asked.user))
    if asked.ids and (asked.all_matching or filtered):
        raise typer.BadParameter("name ids, or filters with --all-matching: not both")
    if not asked.ids and not asked.all_matching:
        raise typer.BadParameter("name ids, or --all-matching with filters such as --actor or --user")
    command = Command(group, action, operator_named(asked.by), edit, is_dry=asked.dry_run)
    if asked.ids:
        _perform_on_ids(command, asked)
    else:
        _perform_on_all(command, asked)


def _perform_on_ids(command: Command, asked: Asked) -> None:
    async def work(reach: Reach) -> list[Result]:
        return await act(reach, command, await resolve(reach, asked.ids))

    results = inspecting(work)
    _tell(command, asked, results, _counts(results), len(results))
    if any(one.verdict not in (Verdict.DONE, Verdict.WOULD) for one in results):
        raise typer.Exit(FAILED)


def _perform_on_all(command: Command, asked: Asked) -> None:
    told: list[Result] = []
    counts = dict.fromkeys((verdict.value for verdict in Verdict), 0)

    async def work(reach: Reach) -> int:
        wish = await wish_of(reach, asked.wish, asked.user)
        with Console(stderr=True).status("Counting") as screen:
            selection = await select(reach, command.group, wish)
        if not selection or asked.dry_run:
            return len(selection)
        _confirm(command, asked, selection)
        with Console(stderr=True).status("") as screen:
            async for results in _chunks(reach, replace(command, user_id=wish.user_id), selection):
                for one in results:
                    counts[one.verdict.value] += 1
                told.extend(results[: MOST_TOLD - len(told)])
                screen.update(f"{sum(counts.values()):,} of {len(selection):,}")
        return len(selection)

    matched = inspecting(work)
    _tell(command, asked, told, counts, matched)
    if matched and not asked.dry_run and (counts["unsure"] or not counts["done"]):
        raise typer.Exit(FAILED)


def _chunks(reach: Reach, command: Command, selection: Selection) -> AsyncIterator[list[Result]]:
    return act_on_all(reach, command, selection)


def _confirm(command: Command, asked: Asked, selection: Selection) -> None:
    """Ask before many are changed. Raises typer.BadParameter where nobody can be asked, typer.Abort on a no."""
    if asked.yes:
        return
    many = f"{len(selection):,} of {command.group} match"
    if asked.as_json or not sys.stdin.isatty():
        raise typer.BadParameter(f"{many}: give --yes to {command.action} them, or --dry-run to see")
    typer.confirm(f"{many}. {command.action.capitalize()} them?", abort=True, err=True)


def _tell(command: Command, asked: Asked, results: Sequence[Result], counts: dict[str, int], matched: int) -> None:
    found = {"group": command.group, "action": command.action, "matched": matched, "dry_run": asked.dry_run}
    if asked.as_json:
        print_json({**found, "counts": counts, "results": [asdict(one) for one in results[:MOST_TOLD]]})
        return
    if not asked.ids and asked.dry_run:
        typer.echo(f"{matched:,} of {command.group} match: {command.action} would act on them; nothing was done")
        return
    print_results(results, counts, matched)


def _counts(results: Sequence[Result]) -> dict[str, int]:
    return {verdict.value: sum(one.verdict is verdict for one in results) for verdict in Verdict}


async def one_ref(reach: Reach, word: str) -> Ref:
    """Return what an id means."""
    [ref] = await resolve(reach, [word])
    return ref


def now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)
