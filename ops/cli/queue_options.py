"""The options of the queue commands, and how people write spans, due times and slots."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click.core import Context

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID", help="Executions by id, or messages without one by their Redis id.", show_default=False
    ),
]
Name = Annotated[str, typer.Argument(metavar="ID", help="An execution's id, or the Redis id of a message without one.")]
Actor = Annotated[str | None, typer.Option(metavar="TASK", help="One actor, such as order_sync.")]
Queue = Annotated[str | None, typer.Option(metavar="QUEUE", help="One queue.")]
Error = Annotated[str | None, typer.Option(metavar="TEXT", help="Whose last error holds this text, in any case.")]
Older = Annotated[str | None, typer.Option(metavar="SPAN", help="At least so old: 30s, 10m, 2h, 1d.")]
Newer = Annotated[str | None, typer.Option(metavar="SPAN", help="At most so old.")]
Gauges = Annotated[
    bool,
    typer.Option("--gauges", help="Also orphans, leaks, what is unsettled and what was healed; reads Redis whole."),
]
Sort = Annotated[str | None, typer.Option(metavar="ORDER", help="The order; with a hyphen the other way round.")]
Cursor = Annotated[str | None, typer.Option("--before", metavar="CURSOR", help="Go on where the last list ended.")]
AllMatching = Annotated[
    bool, typer.Option("--all-matching", help="All that the filters match; counted and asked first.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Due = Annotated[str | None, typer.Option(metavar="TIME", help='When it is due, in IST: "2026-11-27 09:10".')]
In = Annotated[str | None, typer.Option("--in", metavar="SPAN", help="It is due in so long: 30s, 5m, 2h.")]
AttemptsLeft = Annotated[int | None, typer.Option(min=1, max=1000, help="How many attempts it may still have.")]
ToQueue = Annotated[str | None, typer.Option("--to-queue", metavar="QUEUE", help="The queue it shall wait in.")]
Words = Annotated[list[str], typer.Argument(metavar="ID | USER TASK [SLOT]", show_default=False)]

_SPAN = re.compile(r"(\d{1,6})([smhd])$")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_CLOCK = re.compile(r"\d{1,2}:\d{2}$")


class ListFirst(TyperGroup):
    """A group of commands that lists when nothing else is asked for."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Put `list` before options that stand alone."""
        helps = set(ctx.help_option_names)
        if not args or (args[0].startswith("-") and args[0] not in helps):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def span(option: str, text: str | None) -> float | None:
    """Return a span in seconds. Raises typer.BadParameter naming the option."""
    if text is None:
        return None
    found = _SPAN.match(text.strip())
    if found is None:
        raise typer.BadParameter(f"{option} {text}: write a span like 30s, 10m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def moment(option: str, text: str | None, today: datetime | None = None) -> datetime | None:
    """Return a moment: a time in IST, or one with its zone. Raises typer.BadParameter naming the option.

    today: the day, in IST, that a clock time alone is of; None: it must be named.
    """
    if text is None:
        return None
    from trading.calendar import from_exchange_time

    words = text.strip()
    if today is not None and _CLOCK.match(words):
        words = f"{today:%Y-%m-%d} {words.zfill(5)}"
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        raise typer.BadParameter(f'{option} {text}: write a time in IST like "2026-11-27 09:10"') from None
    try:
        return from_exchange_time(at) + timedelta()
    except OverflowError:
        raise typer.BadParameter(f"{option} {text}: that is too far away") from None
