"""A record on its way in: where it stood, what it became, and what it adds to the sums that must agree in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from db.import_rows import Rows, Tracking
from ops.importers.fields import RefusedRecordError, as_text
from ops.importers.stream import Item
from trading.values import Side

_NONE = Decimal(0)


class Outcome(StrEnum):
    """What became of a record."""

    IMPORTED = "imported"
    MERGED = "merged"  # with one that tells of the same
    SKIPPED = "skipped"  # nothing to do: it is there, or nothing in it is taken over
    ERROR = "error"  # refused, and somebody should look at it


@dataclass(slots=True)
class Sums:
    """What records hold: counts, shares, rupees. realized: of what is closed, before charges are taken off."""

    orders: int = 0
    fills: int = 0
    bought: int = 0
    sold: int = 0
    bought_value: Decimal = _NONE
    sold_value: Decimal = _NONE
    charges: Decimal = _NONE
    realized: Decimal = _NONE
    open_positions: int = 0
    open_shares: int = 0
    tracked: int = 0

    def add(self, other: "Sums") -> None:
        """Add another's."""
        self.orders += other.orders
        self.fills += other.fills
        self.bought += other.bought
        self.sold += other.sold
        self.bought_value += other.bought_value
        self.sold_value += other.sold_value
        self.charges += other.charges
        self.realized += other.realized
        self.open_positions += other.open_positions
        self.open_shares += other.open_shares
        self.tracked += other.tracked

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Sums":
        """Return what `to_json` gave."""
        sums = cls()
        for name, value in values.items():
            setattr(sums, name, Decimal(value) if isinstance(value, str) else value)
        return sums

    def to_json(self) -> dict[str, int | str]:
        """Return them as JSON values, rupees as text."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: _said(value) for name, value in values.items()}


# Of an entry that adds nothing; never added to.
_NOTHING = Sums()


def _said(value: int | Decimal) -> int | str:
    return format(value.normalize() + 0, "f") if isinstance(value, Decimal) else value


@dataclass(slots=True)
class Entry:
    """One record. key: of the order that tells whether it is there already; content: a hash of what it says.

    legacy_ids: of its orders. opens: the share it opens a position in. notes: what people should know though it was
    taken. One that was refused has a kind and a reason, and no rows. others: entries that became part of this one, and
    fall with it. merges: an order that is there under its id tells of the same. cash: what the account has by it.
    """

    place: str
    line: int | None = None
    symbol: str | None = None
    key: str | None = None
    content: str | None = None
    legacy_ids: tuple[str, ...] = ()
    rows: Rows | None = None
    tracking: Tracking | None = None
    opens: str | None = None
    live: tuple[str, str] | None = None
    outcome: Outcome = Outcome.IMPORTED
    kind: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    sums: Sums = field(default_factory=lambda: _NOTHING)
    others: list["Entry"] = field(default_factory=list)
    merges: bool = False
    cash: Decimal | None = None

    def refuse(self, kind: str, reason: str, outcome: Outcome = Outcome.ERROR) -> None:
        """Say why this one is not imported."""
        self.outcome, self.kind, self.reason = outcome, kind, reason

    def to_json(self) -> dict[str, Any]:
        """Return the line of a report."""
        told: Mapping[str, Any] = {
            "place": self.place,
            "line": self.line,
            "symbol": self.symbol,
            "outcome": self.outcome.value,
            "kind": self.kind,
            "reason": self.reason,
            "notes": list(self.notes),
        }
        return {name: value for name, value in told.items() if value not in (None, "", [])}


def refused(item: Item, error: RefusedRecordError) -> Entry:
    """Return the entry of a record that cannot be taken."""
    value = item.value if isinstance(item.value, Mapping) else {}
    named = next((value[name] for name in ("symbol", "ticker") if isinstance(value.get(name), str)), None)
    entry = Entry(as_text(item.where), item.line, as_text(named)[:32] if named else None)
    entry.refuse(error.kind, error.reason)
    return entry


def no_section(item: Item) -> Entry:
    """Return the entry of what stands where no records are looked for: it is told, never passed over in silence."""
    said = f"nobody knows records under {item.section!r}" if item.index is not None else f"{item.where} is no list"
    return refused(item, RefusedRecordError("no_section", said))


def sums_of(rows: Rows) -> Sums:
    """Return what rows hold, told from the fills alone; their positions are held against it later."""
    sums = Sums(orders=len(rows.orders))
    for side, quantity, price, charges in rows.trades():
        sums.fills += 1
        sums.charges += charges
        if side is Side.BUY:
            sums.bought += quantity
            sums.bought_value += quantity * price
        else:
            sums.sold += quantity
            sums.sold_value += quantity * price
    return sums
