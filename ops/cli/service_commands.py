"""`muhurat services`: whose service runs, since when and by whom, what is in flight, what a start would need."""

from typing import Annotated

import typer

from ops.cli import options as o

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="A user, by e-mail or id.")]

services = typer.Typer(invoke_without_command=True, help="Services: how each stands, and everything about one.")


@services.callback()
def list_services(context: typer.Context, limit: o.Limit = 50, after: o.After = 0, json: o.Json = False) -> None:
    """List services: running, stale (no scheduler looks after it), stopping (work or orders are under way), stopped."""
    if context.invoked_subcommand is not None:
        return
    from ops.cli.service_work import list_page

    list_page(limit, after, as_json=json)


@services.command("show")
def show_service(email: Email, json: o.Json = False) -> None:
    """See one service: since when and by whom, its heartbeat, what is in flight, what a start would say is missing."""
    from ops.cli.service_work import show

    show(email, as_json=json)


@services.command("start")
def start_service(email: Email, as_: o.As = None, json: o.Json = False) -> None:
    """Start it: as `muhurat users start` does."""
    from ops.cli.service_work import start

    start(email, as_, as_json=json)


@services.command("stop")
def stop_service(email: Email, as_: o.As = None, json: o.Json = False) -> None:
    """Stop it: as `muhurat users stop` does."""
    from ops.cli.service_work import stop

    stop(email, as_, as_json=json)
