"""How the predecessor's files are written: a record at a time, under another name until they are whole; its forms."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from ops.exporters.errors import NotEmptyError
from trading.calendar import exchange_time

Record = dict[str, Any]
Add = Callable[[Mapping[str, Any]], None]

_EXACT = Decimal("0.0001")


def empty_folder(path: Path) -> Path:
    """Make a folder, or take one that is empty. Raises NotEmptyError, OSError."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise NotEmptyError(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def cleared_unless_whole(folder: Path) -> Iterator[None]:
    """Empty a folder again that was empty before, unless all was written: half an export must not be started from."""
    try:
        yield
    except BaseException:
        for one in folder.iterdir():
            shutil.rmtree(one, ignore_errors=True)
        raise


@contextmanager
def written(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Yield a file that has its name only once it is whole. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-part")
    try:
        with part.open("x", encoding=encoding) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def listed(file: IO[str]) -> Iterator[Add]:
    """Write a list; yields what adds a record to it."""
    between = "\n"
    file.write("[")

    def add(record: Mapping[str, Any]) -> None:
        nonlocal between
        file.write(between + said(record))
        between = ",\n"

    yield add
    file.write("\n]")


def said(value: Any) -> str:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def stamp(at: datetime) -> str:
    """Return a moment as the predecessor wrote it: naive, in Indian time."""
    return exchange_time(at).replace(tzinfo=None).isoformat()


def stamp_or_none(at: datetime | None) -> str | None:
    """Return a moment as the predecessor wrote it, None without one."""
    return None if at is None else stamp(at)


def number(value: Decimal) -> float:
    """Return rupees or a price as a JSON number, to four decimals."""
    return float(value.quantize(_EXACT))


def number_or_none(value: Decimal | None) -> float | None:
    """Return a price as a JSON number, None without one."""
    return None if value is None else number(value)


def names(symbol: str) -> Record:
    """Return a share's symbol in the predecessor's three forms."""
    return {"symbol": symbol, "placed_symbol": f"{symbol}-EQ", "ticker": f"{symbol}.NS"}
