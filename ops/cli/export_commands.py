"""`muhurat export`: the way back to the predecessor's files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from ops.exporters.legacy import Exported

exports = typer.Typer(no_args_is_help=True, help="The way back: a user's record as the predecessor's files.")


@exports.callback()
def choose() -> None:
    """Keep `legacy` a word of its own, though it is the only one."""


@exports.command("legacy")
def export(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder that is empty, or not there yet.")],
    user: Annotated[
        str, typer.Option("--user", metavar="EMAIL", help="Whose record, by e-mail or id.", callback=o.said_one)
    ],
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Write a user's trades, orders and holdings as the files that the predecessor starts from.

    Of the account `live`: data/trades_history.json, pending_orders.json, system_recommended_symbols.json; of `paper`:
    paper_trading/unified_service. What was imported keeps its own fields. Stop the user's service first.
    """
    from ops.cli.exporting import write_legacy
    from ops.cli.reach import operator_named
    from ops.cli.tables import print_json

    exported = write_legacy(path, user, operator_named(as_), quiet=json)
    if json:
        print_json(exported.to_json())
    else:
        _print(exported)


def _print(exported: "Exported") -> None:
    typer.echo(
        f"Written to {exported.path}, records:" if exported.records else "Nothing written: no account has a place"
    )
    width = max((len(name) for name in exported.records), default=0)
    for name, records in exported.records.items():
        typer.echo(f"  {name:<{width}} {records:>9,}")
    if exported.left:
        typer.echo(f"not written, for the old files have no place for them: accounts {', '.join(exported.left)}")
    if exported.runs:
        typer.echo(f"the service of {exported.user} runs: `muhurat users stop` it, then export again into a new folder")
