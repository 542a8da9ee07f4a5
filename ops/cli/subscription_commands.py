"""`muhurat subscriptions`: for which accounts schedules fire, pauses, and times of users' own."""

from typing import Annotated

import typer

from ops.cli import options as o
from ops.cli import queue_options as q
from ops.cli import schedule_options as s

subscriptions = typer.Typer(cls=q.ListFirst, help="Subscriptions: list, subscribe, pause, resume, own times.")

Who = Annotated[str, typer.Argument(metavar="USER", help="A user, by e-mail or id.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; stands beside the pause.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Until when, in IST. Unset: until somebody resumes it.")
]


@subscriptions.command("list")
def list_subscriptions(
    user: Annotated[str, typer.Option("--user", metavar="EMAIL", callback=o.said_one, help="By e-mail or id.")],
    json: o.Json = False,
) -> None:
    """List a user's subscriptions: which schedule fires when for which account, what is paused, and own times."""
    from ops.cli.subscription_work import list_of

    list_of(user, as_json=json)


@subscriptions.command("subscribe")
def subscribe(
    user: Who, schedule: s.Schedule, account: s.Account = None, as_: o.As = None, json: o.Json = False
) -> None:
    """Let a schedule fire for a user's accounts, from its next slot on."""
    from ops.cli.subscription_work import enroll

    enroll(user, schedule, account, as_, on=True, as_json=json)


@subscriptions.command("unsubscribe")
def unsubscribe(
    user: Who, schedule: s.Schedule, account: s.Account = None, as_: o.As = None, json: o.Json = False
) -> None:
    """Let a schedule fire no more for a user's accounts. Live orders are looked after all the same."""
    from ops.cli.subscription_work import enroll

    enroll(user, schedule, account, as_, on=False, as_json=json)


@subscriptions.command("pause")
def pause(
    user: Who,
    schedule: s.Schedule,
    account: s.Account = None,
    until: Until = None,
    reason: Reason = None,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Let a schedule not fire for a user for a while; what it would have fired is not caught up."""
    from ops.cli.subscription_work import pause as begin

    begin(user, schedule, account, until, reason, as_, as_json=json)


@subscriptions.command("resume")
def resume(user: Who, schedule: s.Schedule, account: s.Account = None, as_: o.As = None, json: o.Json = False) -> None:
    """End a pause: the next slot fires again."""
    from ops.cli.subscription_work import resume as end

    end(user, schedule, account, as_, as_json=json)


@subscriptions.command("override")
def override(
    user: Who,
    schedule: s.Schedule,
    trigger: Annotated[
        str | None, typer.Argument(metavar="TRIGGER", help='Their own time, such as "at 16:30".')
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Go back to the schedule's own time.")] = False,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Let a schedule fire for a user at a time of their own; all who choose a time share one schedule of it.

    It takes effect at once. Of a time that changes during the day, the day's slot fires once: if it has fired, the new
    time begins the next day; if the new time has passed and the old one has not, it is made up for now.

    [bold]Examples[/bold]

      muhurat subscriptions override asha@example.org buy_orders "at 16:30"

      muhurat subscriptions override asha@example.org buy_orders --default
    """
    from ops.cli.subscription_work import choose

    if (trigger is None) is not default:
        raise typer.BadParameter('give a trigger such as "at 16:30", or --default: one of the two')
    choose(user, schedule, trigger, as_, as_json=json)
