"""One number for what a replay traded: equal for equal trades, whatever ids, wall clocks and workers there were."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

Value = str | int | date | Decimal | None
Facts = Sequence[Value]


def digest(orders: Iterable[Facts], fills: Iterable[Facts]) -> str:
    """Return the SHA-256, as hex digits, of rows in any order. Each row is told by its values, in a fixed order."""
    lines = sorted([*_lines("order", orders), *_lines("fill", fills)])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lines(kind: str, rows: Iterable[Facts]) -> list[str]:
    return [json.dumps([kind, *map(_canonical, row)], ensure_ascii=True, separators=(",", ":")) for row in rows]


def _canonical(value: Value) -> str | None:
    """Return one text for equal values: 1, 1.0 and 1.0000 rupees are the same price."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        plain = format(value, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return value.isoformat() if isinstance(value, date) else str(value)
