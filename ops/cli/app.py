"""The commands of `muhurat` and what each says about itself; the work lies in modules loaded at the call."""

from typing import Annotated

import typer

from ops.cli import (
    bench_commands,
    calendar_commands,
    chaos_commands,
    config_commands,
    export_commands,
    halt_commands,
    import_commands,
    market_commands,
    ml_commands,
    people_commands,
    queue_commands,
    record_commands,
    schedule_commands,
    service_commands,
    subscription_commands,
)
from ops.cli import options as o

app = typer.Typer(
    name="muhurat",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with [bold]muhurat demo[/bold]: the whole way on servers of its own, in about two minutes.",
)


app.add_typer(record_commands.executions, name="executions")
app.add_typer(record_commands.orders, name="orders")
app.add_typer(record_commands.positions, name="positions")
app.add_typer(queue_commands.queues, name="queues")
app.add_typer(queue_commands.workers, name="workers")
app.add_typer(queue_commands.retries, name="retries")
app.add_typer(queue_commands.dead, name="dead")
app.command("why-waiting", no_args_is_help=True)(queue_commands.why_waiting)
app.add_typer(people_commands.users, name="users")
app.add_typer(people_commands.accounts, name="accounts")
app.add_typer(service_commands.services, name="services")
app.add_typer(schedule_commands.schedules, name="schedules")
app.add_typer(subscription_commands.subscriptions, name="subscriptions")
app.add_typer(config_commands.config, name="config")
app.add_typer(calendar_commands.calendar, name="calendar")
app.add_typer(market_commands.prices, name="prices")
app.add_typer(ml_commands.ml, name="ml")
app.add_typer(import_commands.imports, name="import")
app.add_typer(export_commands.exports, name="export")
app.add_typer(bench_commands.bench, name="bench")
app.command()(chaos_commands.chaos)
app.command(no_args_is_help=True)(halt_commands.halt)
app.command(no_args_is_help=True)(halt_commands.resume)
app.command("halts")(halt_commands.list_halts)


@app.callback()
def muhurat(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole trace of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Automated trading for many users: schedules, workers, strategies, paper accounts."""


@app.command()
def demo(
    data: o.Data = o.SIMULATED,
    first: o.First = None,
    last: o.Last = None,
    users: o.Users = 10,
    accounts_per_user: o.AccountsPerUser = 1,
    seed: o.Seed = 7,
    workers: o.Workers = 2,
    threads: o.Threads = 4,
    json: o.Json = False,
    keep: o.Keep = False,
) -> None:
    """See everything work: a replay with an introduction, and where to look next.

    Starts Postgres and Valkey of its own, plays a simulated market through the real scheduler and real workers, and
    stops everything again. DATABASE_URL and REDIS_URL are not looked at.
    """
    from ops.cli.replaying import Wish, play

    play(Wish(data, first, last, users, accounts_per_user, seed, workers, threads), as_json=json, keep=keep, demo=True)


@app.command()
def replay(
    data: o.Data = o.SIMULATED,
    first: o.First = None,
    last: o.Last = None,
    users: o.Users = 10,
    accounts_per_user: o.AccountsPerUser = 1,
    seed: o.Seed = 7,
    workers: o.Workers = 2,
    threads: o.Threads = 4,
    json: o.Json = False,
    keep: o.Keep = False,
) -> None:
    """Run a past period through the real scheduler and real workers.

    Always on an empty database and servers of its own in .muhurat/replay; DATABASE_URL and REDIS_URL are not looked at.
    The same data, period, users and seed give the same digest, whatever the workers and threads.

    [bold]Examples[/bold]

      muhurat replay --users 3 --from 2025-11-03 --to 2025-11-28

      muhurat replay --data bars/nifty50 --from 2023-01-02 --to 2024-12-31 --json
    """
    from ops.cli.replaying import Wish, play

    play(Wish(data, first, last, users, accounts_per_user, seed, workers, threads), as_json=json, keep=keep, demo=False)


@app.command()
def status(user: o.User = None, json: o.Json = False) -> None:
    """See how today goes: session, slots per task, what waits or hangs, who is alive, accounts.

    Works while Redis is away: everything but the count of its messages stands in Postgres.
    """
    from ops.cli.status import show_status

    show_status(user, as_json=json)


@app.command()
def doctor(json: o.Json = False) -> None:
    """Look everything over: servers, schema, calendar, prices, the invariants of the record. Code 1 if one fails."""
    from ops.cli.doctor_commands import diagnose

    diagnose(as_json=json)


@app.command()
def migrate() -> None:
    """Bring the database to this code's schema, with calendar and default schedules.

    Uses DATABASE_URL (with REDIS_URL, both or neither), or the embedded server with MUHURAT_LOCAL=1. Running it again
    changes nothing; two at once are harmless.
    """
    from ops.cli.migrating import migrate_database

    migrate_database()


@app.command()
def up(procfile: o.Procfile = None) -> None:
    """Run the Procfile's processes in this terminal, on embedded servers that keep their data in .muhurat.

    One that dies is started again; Ctrl-C stops all. Prices come from MUHURAT_PRICES, simulated when it is not set.
    """
    from ops.cli.upping import run_procfile

    run_procfile(procfile)


@app.command()
def version() -> None:
    """Print the version of the code and of its schema."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from migrations.run import head

    try:
        code = version_of("muhurat")
    except PackageNotFoundError:  # run from a checkout that was not installed
        code = "not installed"
    typer.echo(f"muhurat {code}, schema {head()}")
