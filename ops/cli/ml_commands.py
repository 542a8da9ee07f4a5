"""`muhurat ml`: models trained, looked at, made active and put away."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from db.models import MLModelRepository, MLModelRow
    from db.transaction import Database
    from ops.training import Wish

BOTH, BARS = "both", "bars"

Type = Annotated[str, typer.Argument(metavar="TYPE", help="verdict_classifier or price_regressor.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Such as v3; `muhurat ml jobs` lists them.")]

Kind = Annotated[str, typer.Option("--type", metavar="TYPE", help="verdict_classifier, price_regressor or both.")]
Algorithm = Annotated[
    str, typer.Option(help="hist_gradient_boosting, random_forest or, for a classifier, logistic_regression.")
]
Data = Annotated[str, typer.Option(metavar="bars|FILE", help="The bars in the database, or a CSV file of past trades.")]
Features = Annotated[str | None, typer.Option(metavar="NAME,...", help="Of the features; unset: all that are allowed.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help="A hyperparameter; may be repeated.")
]
Seed = Annotated[int, typer.Option(min=0, max=o.LARGEST_INTEGER, help="Same lessons and seed, same model.")]
Notes = Annotated[str | None, typer.Option(help="What this training is for.")]
Again = Annotated[
    int | None,
    typer.Option(min=1, max=o.LARGEST_ID, metavar="JOB", help="Ask for a job once more; every other choice is its."),
]
Before = Annotated[int | None, typer.Option(min=1, max=o.LARGEST_ID, metavar="JOB", help="Go on before this job.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show what it says until it ends.")]

ml = typer.Typer(no_args_is_help=True, help="Models: training jobs, versions, and which one has a say.")


@ml.command()
def train(
    type_: Kind = BOTH,
    algorithm: Algorithm = "hist_gradient_boosting",
    data: Data = BARS,
    features: Features = None,
    setting: Settings = None,
    until: o.Until = None,
    seed: Seed = 7,
    notes: Notes = None,
    again: Again = None,
    wait: Wait = False,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Ask for a training; a worker that takes the ml queue does it. The version it makes is a draft.

    [bold]Examples[/bold]

      muhurat ml train --wait --as ravi

      muhurat ml train --type price_regressor --data trades.csv --set max_iter=200 --as ravi
    """
    from ops.cli.ml_tables import tell_jobs
    from ops.cli.reach import operator_named, with_database
    from ops.training import Wish
    from trading.recipes import MODEL_TYPES

    actor = operator_named(as_)
    wish = Wish(
        MODEL_TYPES if type_ == BOTH else (type_,),
        algorithm,
        seed,
        dict(_number(text) for text in setting or []),
        None if data == BARS else _bytes_of(Path(data)),
        tuple(name.strip() for name in features.split(",")) if features is not None else None,
        until.date() if until else None,
        notes,
    )
    jobs, workers = with_database(lambda database: _asked(database, wish, again, actor, wait=wait))
    tell_jobs(jobs, workers, waited=wait, as_json=json)


@ml.command("jobs")
def list_jobs(limit: o.Limit = 20, before: Before = None, json: o.Json = False) -> None:
    """List trainings, newest first, with the version each made."""
    from db.training_jobs import MLTrainingJobRepository
    from ops.cli.reach import reading
    from ops.cli.tables import print_json, print_rows

    rows = reading(lambda session: MLTrainingJobRepository(session).newest(limit + 1, before))
    shown, more = rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
    if json:
        print_json({"jobs": shown, "next": more})
        return
    print_rows("Trainings (times in IST)", shown, empty="none yet: `muhurat ml train`")
    if more is not None:
        typer.echo(f"there are more: --before {more}")


@ml.command()
def show(
    what: Annotated[str, typer.Argument(metavar="VERSION|JOB", help="A version such as v3, or the number of a job.")],
    type_: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Of the version, where both types have it.")
    ] = None,
    json: o.Json = False,
) -> None:
    """Show a version with how good it was on trades it had not seen, or a job with its log."""
    from ops.cli.ml_tables import show_job, show_version
    from ops.cli.reach import reading

    if what.isdecimal():
        from db.training_jobs import MLTrainingJobRepository

        job_id = o.whole_number("job", what)
        job = reading(lambda session: MLTrainingJobRepository(session).show(job_id))
        if job is None:
            raise typer.BadParameter(f"there is no job {what}: see `muhurat ml jobs`")
        show_job(job, as_json=json)
    else:
        show_version(reading(lambda session: _version_named(session, what, type_)), as_json=json)


@ml.command()
def activate(model_type: Type, version: Version, as_: o.As = None, json: o.Json = False) -> None:
    """Give a version the say of its type, once its artefact passes every check; the one before loses it.

    The next analysis asks it: what was analysed already keeps the version that is named there.
    """

    async def change(session: "AsyncSession", actor: str, now: datetime) -> dict[str, Any]:
        row = await _models(session).activate(model_type, version, actor, now)
        return {"type": row.model_type, "version": row.version, "active": True}

    _change(as_, change, "the next analysis asks it", as_json=json)


@ml.command()
def deactivate(model_type: Type, as_: o.As = None, json: o.Json = False) -> None:
    """Leave a type without an active version: from the next analysis on the rules decide alone."""

    async def change(session: "AsyncSession", actor: str, now: datetime) -> dict[str, Any]:
        return {"type": model_type, "was_active": await _models(session).deactivate(model_type, actor)}

    _change(as_, change, "the next analysis asks no such model", as_json=json)


@ml.command()
def retire(model_type: Type, version: Version, as_: o.As = None, json: o.Json = False) -> None:
    """Put a version away for good. It stays readable, as the record names it; an active one is refused."""

    async def change(session: "AsyncSession", actor: str, now: datetime) -> dict[str, Any]:
        row = await _models(session).retire(model_type, version, actor, now)
        return {"type": row.model_type, "version": row.version, "retired_at": row.retired_at}

    _change(as_, change, "it cannot be activated any more", as_json=json)


async def _asked(
    database: "Database", wish: "Wish", again: int | None, actor: str, *, wait: bool
) -> "tuple[Sequence[Mapping[str, Any]], int]":
    """Return the jobs as they stand after the asking or the waiting, and how many workers take such."""
    from ops.training import PATIENCE_SECONDS, repeat, request, shown, takers
    from ops.training import wait as wait_for

    if again is None:
        ids = await request(database, wish, actor)
    else:
        repeated = await repeat(database, again, actor)
        if repeated is None:
            raise typer.BadParameter(f"there is no job {again}: see `muhurat ml jobs`")
        ids = [repeated]
    if wait:
        await wait_for(database, ids, lambda line: typer.echo(line, err=True), PATIENCE_SECONDS)
    return await shown(database, ids), await takers(database)


async def _version_named(session: "AsyncSession", version: str, type_: str | None) -> "MLModelRow":
    found = [row for row in await _models(session).named(version) if type_ in (None, row.model_type)]
    if not found:
        raise typer.BadParameter(
            f"there is no version {version}{f' of {type_}' if type_ else ''}: see `muhurat ml jobs`"
        )
    if len(found) > 1:
        raise typer.BadParameter(f"{version} is of {' and '.join(row.model_type for row in found)}: say --type")
    return found[0]


def _change(as_: str | None, change: Any, text: str, *, as_json: bool) -> None:
    from db.clock import ClockRepository
    from ops.cli.reach import changing
    from ops.cli.tables import say_done

    async def work(session: "AsyncSession", actor: str) -> Any:
        return await change(session, actor, (await ClockRepository(session).read()).now)

    say_done(changing(as_, work), text, as_json=as_json)


def _models(session: "AsyncSession") -> "MLModelRepository":
    from db.models import MLModelRepository

    return MLModelRepository(session)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise typer.BadParameter(f"--data {file}: {said}; give {BARS}, or a CSV file of past trades") from None


def _number(text: str) -> tuple[str, int | float]:
    name, equals, value = text.partition("=")
    try:
        number: int | float = int(value) if value.strip().lstrip("-").isdecimal() else float(value)
    except ValueError:
        equals, number = "", 0
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r} is no NAME=NUMBER: write it like max_iter=200")
    return name.strip(), number
