"""`muhurat import`: the predecessor's files and database, brought in, looked at, verified and taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from ops.importers.command import Brought

imports = typer.Typer(no_args_is_help=True, help="The predecessor's files or database: bring in, verify, take back.")

_FILE = typer.Argument(metavar="PATH", help="The file, or a folder that has it.")
Place = Annotated[Path, _FILE]
User = Annotated[
    str, typer.Option("--user", metavar="EMAIL", help="Whose they are, by e-mail or id.", callback=o.said_one)
]
Account = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The account they go to. Unset: paper; of both live and paper files, the live ones go to `live`.",
    ),
]
CreateUser = Annotated[
    bool, typer.Option("--create-user", help="Sign the user up if there is none; the service starts stopped.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything, tell the same, and take it back at once.")]
Salvage = Annotated[
    bool, typer.Option("--salvage", help="Of a file that breaks off, keep what stood before the break.")
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", dir_okay=False, help="Write what became of each record there, one JSON object a line."
    ),
]
Batch = Annotated[
    int, typer.Argument(metavar="BATCH", min=1, max=o.LARGEST_ID, help="A batch's id, as `muhurat import list` has it.")
]

Database = Annotated[
    str, typer.Argument(metavar="URL", help="A file, sqlite:///old.db, or postgresql://user:password@host:5432/name.")
]
SourceUser = Annotated[
    str | None,
    typer.Option(metavar="EMAIL", help="Whose rows, where several traded there.", callback=o.said_one),
]
NewOwner = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="EMAIL",
        help="Whose they become, by e-mail or id. Unset: each user's, by the e-mail that is there.",
        callback=o.said_one,
    ),
]

_TOLD = 20


def _command(kind: str, help_text: str) -> Callable[..., None]:
    def bring(
        path: Place,
        user: User,
        account: Account = None,
        create_user: CreateUser = False,
        dry_run: DryRun = False,
        salvage: Salvage = False,
        report: Report = None,
        as_: o.As = None,
        json: o.Json = False,
    ) -> None:
        from ops.cli.importing import bring_in
        from ops.cli.reach import operator_named
        from ops.importers.command import Request

        request = Request(kind, path, user, operator_named(as_), account, create_user, dry_run, salvage)
        brought = bring_in(request, report, quiet=json)
        _print(brought, as_json=json, dry_run=dry_run)
        if not all(one.is_whole for one in brought):
            raise typer.Exit(1)

    bring.__doc__ = help_text
    return bring


for _kind, _help in {
    "trades-history": "Bring in trades_history.json: every trade as orders, fills and a position, and failed orders.",
    "pending-orders": "Bring in pending_orders.json: what waited or ended; an order of the history is merged with it.",
    "recommended-symbols": "Bring in system_recommended_symbols.json: what the system owns beside a user's own shares.",
    "paper-trading": "Bring in a folder of paper trading: orders, trades, holdings, the money; and its configuration.",
    "all": "Bring in everything below a folder, in the right order: history, pending, recommended, paper.",
}.items():
    imports.command(_kind)(_command(_kind, _help))


@imports.command("database")
def bring_database(
    url: Database,
    source_user: SourceUser = None,
    user: NewOwner = None,
    account: Account = None,
    create_user: CreateUser = False,
    dry_run: DryRun = False,
    report: Report = None,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Bring in the predecessor's own database, SQLite or Postgres of any age: a batch for each of its users."""
    from ops.cli.importing import bring_in
    from ops.cli.reach import operator_named
    from ops.importers.command import Request

    request = Request("database", url, user, operator_named(as_), account, create_user, dry_run, False, source_user)
    brought = bring_in(request, report, quiet=json)
    _print(brought, as_json=json, dry_run=dry_run)
    if not all(one.is_whole for one in brought):
        raise typer.Exit(1)


@imports.command("list")
def list_batches(
    user: o.User = None, limit: o.Limit = 50, before: o.Before = o.LARGEST_ID, json: o.Json = False
) -> None:
    """List batches, newest first."""
    from db.import_batches import ImportBatchRepository
    from db.lookups import LookupRepository
    from ops.cli.reach import reading
    from ops.cli.status import user_named
    from ops.cli.tables import print_json, print_rows

    async def look(session: Any) -> list[Any]:
        user_id = await user_named(LookupRepository(session), user) if user else None
        return [dict(row) for row in await ImportBatchRepository(session).page(limit, before, user_id)]

    rows = reading(look)
    if json:
        print_json({"batches": rows})
        return
    columns = ("id", "user", "account", "kind", "source", "state", "dry_run", "counts", "started_at", "actor", "error")
    print_rows("Imports (times in IST)", rows, columns=columns)


@imports.command("show")
def show_batch(batch: Batch, limit: o.Limit = 50, json: o.Json = False) -> None:
    """Show a batch: what it counted, its sums, and the records that were not simply imported."""
    from db.import_batches import ImportBatchRepository
    from ops.cli.reach import reading
    from ops.cli.tables import print_facts, print_json, print_rows

    async def look(session: Any) -> dict[str, Any] | None:
        rows = ImportBatchRepository(session)
        found = await rows.show(batch)
        return None if found is None else {**found, "records": [dict(one) for one in await rows.records(batch, limit)]}

    found = reading(look)
    if found is None:
        raise typer.BadParameter(f"there is no batch {batch}; `muhurat import list` has them")
    if json:
        print_json(found)
        return
    records = found.pop("records")
    print_facts(f"Batch {batch} (times in IST)", found)
    print_rows(f"Records that were not simply imported (at most {limit})", records)


@imports.command("verify")
def verify_batch(batch: Batch, json: o.Json = False) -> None:
    """Hold a batch's sums in the database against those of its source again. Code 1 if one differs."""
    from rich.console import Console

    from ops.cli.reach import reading
    from ops.cli.tables import print_json, print_rows
    from ops.importers.command import verify_batch as verified

    async def look(session: Any) -> Any:
        try:
            return await verified(session, batch)
        except LookupError as error:
            raise typer.BadParameter(str(error)) from error

    with Console(stderr=True, quiet=json).status(f"Adding up batch {batch}"):
        measures = reading(look)
    rows = [{"sum": m.name, "source": m.source, "database": m.database, "agrees": m.agrees} for m in measures]
    if json:
        print_json({"batch": batch, "agrees": all(one.agrees for one in measures), "sums": rows})
    else:
        print_rows(f"Batch {batch}", rows)
    if not all(one.agrees for one in measures):
        raise typer.Exit(1)


@imports.command("rollback")
def roll_batch_back(batch: Batch, as_: o.As = None, json: o.Json = False) -> None:
    """Take a batch back: every row it made, and no other. Refused where trading has gone on from them."""
    from ops.cli.reach import changing
    from ops.cli.rows_bar import rows_bar
    from ops.cli.tables import say_done
    from ops.importers.rollback import roll_back_batch

    async def back(session: Any, actor: str) -> dict[str, Any]:
        try:
            return {"batch": batch, "rows": await roll_back_batch(session, batch, actor, bar.reached)}
        except LookupError as error:
            raise typer.BadParameter(str(error)) from error

    with rows_bar("taken back", quiet=json) as bar:
        done = changing(as_, back)
    say_done(done, "taken back; a user that was signed up for it stays", as_json=json)


def _print(brought: "list[Brought]", *, as_json: bool, dry_run: bool) -> None:
    from ops.cli.tables import print_json, print_rows

    if as_json:
        print_json({"dry_run": dry_run, "sources": [one.to_json() for one in brought]})
        return
    title = "Dry run: nothing was kept" if dry_run else "Brought in"
    print_rows(title, [_row(one) for one in brought])
    for one in brought:
        for said in _said(one):
            typer.echo(said)


def _row(one: "Brought") -> dict[str, Any]:
    done = one.done
    counts = {name: done.counts[name] for name in ("imported", "merged", "skipped", "error")}
    sums = {"orders": done.sums.orders, "fills": done.sums.fills, "realized": done.sums.realized}
    return {
        "batch": done.batch_id or None,
        "source": one.source,
        "account": one.account,
        "state": done.state,
        **counts,
        **sums,
    }


def _said(one: "Brought") -> list[str]:
    """Return what people should know of a source beside its counts."""
    done = one.done
    lines = [f"{one.source}: {count} x {word}" for word, count in done.unmapped.most_common(_TOLD)]
    if done.broken is not None:
        kept = "what stood before it was kept" if done.state == "done" else "nothing was kept; --salvage keeps the rest"
        lines.append(f"{done.broken}: {kept}")
    if done.counts["error"]:
        where = f"`muhurat import show {done.batch_id}`" if done.batch_id else "--report FILE has them"
        lines.append(f"{one.source}: {done.counts['error']} records were refused: {where}")
    lines += [
        f"{one.source}: {m.name}: the source has {m.source}, the database {m.database}"
        for m in one.measures
        if not m.agrees
    ]
    if one.left:
        lines.append(f"of the old configuration these are not taken: {', '.join(sorted(one.left))}")
    if one.note:
        lines.append(f"{one.source}: {one.note}")
    return lines
