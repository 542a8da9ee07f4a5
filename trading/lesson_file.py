"""Past trades as a CSV file: which of its columns are features and outcomes, under which names, and what is wrong."""

import csv
from collections.abc import Iterable, Mapping
from datetime import date
from io import StringIO

import numpy as np

from trading.bars import Days, Floats
from trading.lessons import MODEL_FEATURES, OUTCOME_COLUMNS, Lessons, check_features
from trading.predictor_errors import LessonsRefused

COLUMN_OF = {name: name for name in MODEL_FEATURES} | {"rsi": "rsi_10", "volume_ratio_20": "volume_ratio"}
"""Our name -> the file's. Same definitions; the file's RSI is always of ten days. Source: domain 8.2."""

RSI_PERIOD = 10

ENTRY, EXIT, PNL, GAIN = "entry_date", "exit_date", "actual_pnl_pct", "max_favorable_pct_20d"
GAIN_KNOWN_AFTER_DAYS = np.timedelta64(31, "D")
"""Calendar days that hold twenty sessions, holidays included: the file does not say when a gain was known."""

_IDS = {"ticker", ENTRY}
_TRUE, _FALSE = {"true", "True"}, {"false", "False"}


def read_lessons(data: bytes, features: tuple[str, ...] = MODEL_FEATURES) -> Lessons:
    """Return the trades of a CSV file, by entry day. An empty field of a feature or a gain is not known.

    Raises FeatureRefused, and LessonsRefused naming the line.
    """
    check_features(features)
    reader = csv.reader(StringIO(_text(data)))
    header = next(reader, [])
    _check_header(header, features)
    lines = [(number, line) for number, line in enumerate(reader, 2) if line]
    for number, line in lines:
        if len(line) != len(header):
            raise LessonsRefused(number, f"{len(line)} fields, the header has {len(header)}", "repair the line")
    columns = {name: [line[place] for _, line in lines] for place, name in enumerate(header)}
    numbers = [number for number, _ in lines]
    entry_days = _days(ENTRY, columns, numbers)
    used = [COLUMN_OF[name] for name in features]
    lessons = Lessons(
        np.column_stack([_floats(name, columns, numbers) for name in used]),
        _floats(PNL, columns, numbers, needed=True),
        _floats(GAIN, columns, numbers) if GAIN in columns else np.full(len(lines), np.nan),
        entry_days,
        _days(EXIT, columns, numbers),
        entry_days + GAIN_KNOWN_AFTER_DAYS,
        features,
        tuple(name for name in header if name not in {*used, *OUTCOME_COLUMNS, *_IDS}),
    )
    _check_order(lessons, numbers)
    return lessons.take(np.argsort(entry_days, kind="stable"))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LessonsRefused(0, "it is no UTF-8 text", "save it as CSV in UTF-8") from None


def _check_header(header: list[str], features: Iterable[str]) -> None:
    missing = [name for name in (ENTRY, EXIT, PNL, *(COLUMN_OF[name] for name in features)) if name not in header]
    if missing:
        raise LessonsRefused(1, f"no column {', '.join(missing)}", "add it, or train on fewer features")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise LessonsRefused(1, f"column {', '.join(twice)} is there twice", "keep one of them")


def _check_order(lessons: Lessons, numbers: list[int]) -> None:
    early = np.flatnonzero(lessons.exit_days < lessons.entry_days)
    if len(early):
        raise LessonsRefused(numbers[early[0]], f"{EXIT} is before {ENTRY}", "repair the line")


def _days(name: str, columns: Mapping[str, list[str]], numbers: list[int]) -> Days:
    found = []
    for number, text in zip(numbers, columns[name], strict=True):
        try:
            found.append(date.fromisoformat(text))
        except ValueError:
            raise LessonsRefused(number, f"{name} {text!r} is no day", "write it like 2024-01-31") from None
    return np.array(found, dtype="datetime64[D]")


def _floats(name: str, columns: Mapping[str, list[str]], numbers: list[int], *, needed: bool = False) -> Floats:
    found = np.array([_float(name, text, line) for text, line in zip(columns[name], numbers, strict=True)])
    if needed and not np.isfinite(found).all():
        line = numbers[int(np.flatnonzero(~np.isfinite(found))[0])]
        raise LessonsRefused(line, f"{name} is not known", "leave the trade out")
    return found


def _float(name: str, text: str, line: int) -> float:
    if text == "":
        return np.nan
    if text in _TRUE or text in _FALSE:
        return float(text in _TRUE)
    try:
        value = float(text)
    except ValueError:
        raise LessonsRefused(line, f"{name} {text!r} is no number", "repair the line") from None
    return value if np.isfinite(value) else np.nan
