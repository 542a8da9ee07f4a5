"""Single values as the predecessor wrote them, made ours: rupees, quantities, moments, symbols and words."""

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from trading.calendar import from_exchange_time
from trading.values import Price, Quantity, Symbol, parse_symbol

Record = Mapping[str, Any]

# Rupees as people and the predecessor's screens wrote them: ₹1,250.40, Rs 1,251.00, INR 5, 1,00,000/-. A comma stands
# before three digits in the end, so that 1,25 is no 125.
_GROUPED = r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d+)"
_RUPEES = re.compile(rf"(?:₹|rs\.?|inr)?\s*([+-]?{_GROUPED}(?:\.\d+)?|[+-]?\.\d+)\s*(?:/-)?", re.IGNORECASE)
_EXACT = Decimal("0.0001")
_LARGEST_PRICE = Decimal(1_000_000_000)
_LARGEST_SUM = Decimal(100_000_000_000)
_LARGEST_QUANTITY = 1_000_000_000
_YEARS = range(1990, 2101)
# India's clocks were never put forward or back in all these years: one difference holds, and is told in a tenth of the
# time that a zone takes.
_NEW_YEAR_THERE = datetime(_YEARS.start, 1, 1)  # noqa: DTZ001  # of exchange time
_NEW_YEAR = from_exchange_time(_NEW_YEAR_THERE)
_LONGEST_RECORD = 16_384  # of characters
# And halves of a character, as a text has them that was cut off in the middle of one.
_CONTROL = re.compile(r"[\x00-\x1f\ud800-\udfff]+")
_HALVES = re.compile(r"[\ud800-\udfff]")
_ODD = re.compile(r"\\u(?:00|[dD])")  # as JSON escapes what Postgres refuses
_LARGEST_EXPONENT = 300  # of a float
_MOMENT_FORMATS = ("%d-%b-%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S")


class RefusedRecordError(Exception):
    """One record that cannot be taken; its neighbours can. kind: a word to count by. reason: for people."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind, self.reason = kind, reason


def record_of(value: object) -> Record:
    """Return a value as a record. Raises RefusedRecordError."""
    if value.__class__ is not dict and not isinstance(value, Mapping):
        raise RefusedRecordError("no_record", f"is {_shown(value)}, not a record of names and values")
    return value


def first(record: Record, *names: str) -> Any:
    """Return the first value that is there and not null; both generations of names are asked for this way."""
    for name in names:
        value = record.get(name)
        if value is not None and value.__class__ is not str:
            return value
        if value:
            return value
    return None


def needed(record: Record, *names: str) -> Any:
    """Return what `first` does. Raises RefusedRecordError when nothing is there."""
    value = first(record, *names)
    if value is None:
        raise RefusedRecordError("missing", f"{' or '.join(names)} is missing")
    return value


def price(record: Record, *names: str) -> Price:
    """Return a price above nought, with four decimals. Raises RefusedRecordError."""
    found = record.get(names[0])
    is_decimal = isinstance(found, Decimal) and found.is_finite()
    value = _decimal(found if is_decimal else needed(record, *names), names[0])
    # Compared before it is rounded: what has more digits than Decimal counts with cannot be.
    exact: Decimal | None = value.quantize(_EXACT) if 0 < value <= _LARGEST_PRICE else None
    if not exact:
        raise RefusedRecordError("bad_price", f"{names[0]} is {_shown(value)}: a price is above 0, up to 1000000000")
    return exact


def price_or_none(record: Record, *names: str) -> Price | None:
    """Return a price, None where it is not there or nought: that was how a market order was written."""
    value = first(record, *names)
    return None if value is None or not _decimal(value, names[0]) else price(record, *names)


def amount(value: object, name: str) -> Decimal:
    """Return a sum of rupees, of either sign. Raises RefusedRecordError."""
    found = _decimal(value, name)
    if abs(found) > _LARGEST_SUM:
        raise RefusedRecordError("bad_number", f"{name} is {_shown(found)}: beyond any sum of rupees")
    return found


def number_or_none(record: Record, *names: str) -> float | None:
    """Return a measure such as RSI, None where it is not there or was not a number."""
    value = record.get(names[0])
    if value.__class__ is Decimal or value.__class__ is int:
        return _float(value)
    value = first(record, *names)
    if value is None or (isinstance(value, str) and value.strip().lower() in {"nan", "none", "null", "n/a"}):
        return None
    return _float(_decimal(value, names[0]))


def quantity(record: Record, *names: str) -> Quantity:
    """Return whole shares, at least one. Raises RefusedRecordError."""
    found = record.get(names[0])
    if found.__class__ is int and 1 <= found <= _LARGEST_QUANTITY:
        return int(found)
    return whole(needed(record, *names), names[0], least=1)


def whole(value: object, name: str, least: int = 0) -> int:
    """Return a whole number. Raises RefusedRecordError."""
    if type(value) is int and least <= value <= _LARGEST_QUANTITY:
        return value
    found = _decimal(value, name)
    if found != found.to_integral_value() or not least <= found <= _LARGEST_QUANTITY:
        raise RefusedRecordError("bad_quantity", f"{name} is {_shown(value)}: whole, and at least {least}")
    return int(found)


def moment(record: Record, *names: str) -> datetime:
    """Return an aware UTC moment; one without a zone was written in Indian time. Raises RefusedRecordError."""
    found = record.get(names[0])
    if found and found.__class__ is str:
        return as_moment(found, names[0])
    return as_moment(needed(record, *names), names[0])


def moment_or_none(record: Record, *names: str) -> datetime | None:
    """Return a moment, None where it is not there."""
    value = first(record, *names)
    return None if value is None else as_moment(value, names[0])


def as_moment(value: object, name: str) -> datetime:
    """Return a value as an aware UTC moment. Raises RefusedRecordError."""
    found = value if isinstance(value, datetime) else _read_moment(value)
    if found is None or found.year not in _YEARS:
        raise RefusedRecordError("bad_time", f"{name} is {_shown(value)}: expected a form like 2025-03-04T09:15:11")
    return _NEW_YEAR + (found - _NEW_YEAR_THERE) if found.tzinfo is None else from_exchange_time(found)


def symbol(record: Record, *names: str) -> Symbol:
    """Return the base symbol of any form: ABC, abc, ABC.NS, ABC-EQ, ABC-BE. Raises RefusedRecordError."""
    found = record.get(names[0])
    if found.__class__ is str and (known := _symbol(found)) is not None:
        return known
    return as_symbol(needed(record, *names), names[0])


def as_symbol(value: object, name: str) -> Symbol:
    """Return a value as a base symbol. Raises RefusedRecordError."""
    found = _symbol(value) if isinstance(value, str) else None
    if found is None:
        raise RefusedRecordError("bad_symbol", f"{name} is {_shown(value)}: expected a form like INFY or INFY-EQ")
    return found


def text_or_none(record: Record, *names: str, longest: int = 64) -> str | None:
    """Return a text without blanks around it, numbers as text. Raises RefusedRecordError when it is too long or odd."""
    plain = record.get(names[0])
    if plain.__class__ is str and 0 < len(plain) <= longest and plain.isprintable() and " " not in plain:
        return str(plain)  # as nearly all are
    value = first(record, *names)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise RefusedRecordError("bad_text", f"{names[0]} is {_shown(value)}: expected a text")
    found = value if value.__class__ is str else str(value)
    found = (found if found.isprintable() else _CONTROL.sub(" ", found)).strip()
    if len(found) > longest:
        raise RefusedRecordError("bad_text", f"{names[0]} is longer than {longest} letters: {found[:40]}...")
    return found or None


def as_text(text: str) -> str:
    """Return a text of any origin as Postgres takes it."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def cut_text(record: Record, *names: str, longest: int = 64) -> str | None:
    """Return the beginning of a text that was written for people: no record is lost for the length of one."""
    found = text_or_none(record, *names, longest=_LONGEST_RECORD)
    return None if found is None else found[:longest].rstrip()


def kept(value: object, text: str) -> str:
    """Return a record as the JSON that Postgres keeps. text: as it was written, '' where it was in no file.

    Raises RefusedRecordError when it is longer than any record of the predecessor's.
    """
    if not text or "NaN" in text or "Infinity" in text or ("\\" in text and _ODD.search(text)):
        text = json.dumps(as_json(value))
    if len(text) > _LONGEST_RECORD:
        raise RefusedRecordError("too_large", f"it has {len(text)} letters; none that is known has {_LONGEST_RECORD}")
    return text  # JSON holds no control signs but those between its values


def as_json(value: Any) -> Any:
    """Return a value as JSON and Postgres take it."""
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value.replace("\x00", ""))
    if isinstance(value, Mapping):
        return {as_json(str(key)): as_json(one) for key, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, list) else value


def _float(value: Decimal | int) -> float | None:
    """Return a float, None for what is beyond any."""
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _decimal(value: object, name: str) -> Decimal:
    if isinstance(value, Decimal):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = Decimal(str(value))
    else:
        match = _RUPEES.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise RefusedRecordError("bad_number", f"{name} is {_shown(value)}, not a number")
        found = Decimal(match.group(1).replace(",", ""))
    if not found.is_finite():
        raise RefusedRecordError("bad_number", f"{name} is {value}, not a number")
    return found


def _read_moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _MOMENT_FORMATS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # the caller gives it its zone
        except ValueError:
            continue
    return None


@lru_cache(maxsize=20_000)
def _symbol(text: str) -> Symbol | None:
    try:
        return parse_symbol(text)
    except ValueError:
        return None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
