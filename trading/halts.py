"""Halts as values: what each stops, for whom, and how a refusal names it. Which are in force, the rows say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trading.values import Side, Symbol


class Stops(StrEnum):
    """What a halt may stop. A cancel passes every one of them."""

    ENTRIES = "entries"  # first buys and re-entries
    EXITS = "exits"
    CHANGES = "changes"  # of orders that live at a broker
    TASKS = "tasks"  # executions do not begin: a pause


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom a halt is. What is None is not asked for: all None is everywhere."""

    user_id: int | None = None
    account_id: int | None = None
    task_name: str | None = None
    strategy: str | None = None
    symbol: str | None = None

    def to_json(self) -> dict[str, str | int]:
        """Return what it asks for, by name; empty is everywhere."""
        named = {
            "user": self.user_id,
            "account": self.account_id,
            "task": self.task_name,
            "strategy": self.strategy,
            "symbol": self.symbol,
        }
        return {name: value for name, value in named.items() if value is not None}

    @property
    def where(self) -> str:
        """For whom, as the end of a sentence."""
        return f"of {self}" if self.to_json() else "everywhere"

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.to_json().items()) or "everywhere"


@dataclass(frozen=True, slots=True)
class Halt:
    """One halt in force. by: who said so. until: market time, None until somebody resumes."""

    id: int
    scope: Scope
    stops: frozenset[Stops]
    reason: str
    by: str
    until: datetime | None = None

    def facts(self) -> dict[str, str | int | list[str] | None]:
        """Return what a refusal says of it, as JSON can hold it."""
        return {
            "halt": self.id,
            "stops": [what.value for what in Stops if what in self.stops],
            "scope": str(self.scope),
            "reason": self.reason,
            "by": self.by,
            "until": None if self.until is None else self.until.isoformat(),
        }

    @property
    def named(self) -> str:
        """What it stops, of whom, who said so and why, in a line."""
        return f"{', '.join(what.value for what in Stops if what in self.stops)} {self.scope.where}; {self}"

    def __str__(self) -> str:
        return f"halt {self.id} by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Halts:
    """The halts in force that may concern one account, oldest first."""

    all: tuple[Halt, ...] = ()

    def of(self, tasks: frozenset[str], strategy: str) -> "Halts":
        """Return those that concern an order. tasks: who decides on it or sends it. strategy: its own."""
        mine = (
            one
            for one in self.all
            if (one.scope.task_name is None or one.scope.task_name in tasks) and one.scope.strategy in (None, strategy)
        )
        return Halts(tuple(mine))

    def stopping(self, what: Stops, symbol: Symbol | str) -> Halt | None:
        """Return the oldest halt that stops this for a share, None if nothing does."""
        return next((one for one in self.all if what in one.stops and one.scope.symbol in (None, symbol)), None)


NO_HALTS = Halts()


def order_of(side: Side) -> Stops:
    """Return which kind of halt stops an order: a re-entry is a buy, and so an entry."""
    return Stops.ENTRIES if side is Side.BUY else Stops.EXITS


def stopped(names: Mapping[str, bool]) -> frozenset[Stops]:
    """Return what a halt stops, from a flag for each by its name."""
    return frozenset(what for what in Stops if names[what.value])
