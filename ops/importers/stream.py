"""Streams the records of a JSON file of any length: one at a time, each with its place in the file."""

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO

from ops.importers.errors import BrokenFileError

_CHUNK = 1 << 20
# Of characters. A record of the predecessor's has some hundreds; what has not ended by then never will.
_LONGEST_RECORD = 4 << 20
_SPACE = " \t\r\n"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

# The predecessor was Python: it wrote NaN and Infinity, which are no JSON and which other readers refuse.
# A whole number of some thousand digits is refused by Python itself; it is no number of ours either.
_MOST_DIGITS = 30
_DECODER = json.JSONDecoder(
    parse_float=Decimal,
    parse_int=lambda digits: int(digits) if len(digits) <= _MOST_DIGITS else digits,
    parse_constant=lambda _: None,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One record. section: the key it stands under, '' in a bare list. index: its place in a list, None outside one.

    text: as it was written.
    """

    section: str
    index: int | None
    line: int
    value: object
    text: str = ""

    @property
    def where(self) -> str:
        """Return its place as people look for it, such as `trades[3]`."""
        return self.section if self.index is None else f"{self.section}[{self.index}]"


def read_items(path: Path, told: Callable[[int], None] = lambda _: None) -> Iterator[Item]:
    """Yield the records of a bare list, or of an object: the items of each list, and every other value by its key.

    told: called with the bytes read so far. An empty file has no records. Raises BrokenFileError after the last record
    that could be read, OSError.
    """
    with path.open("rb") as file:
        head = file.read(4)
        encoding = next((name for bom, name in _BOMS if head.startswith(bom)), "utf-8")
        file.seek(0)
        yield from _Reader(path, file, encoding, told).items()


class _Reader:
    """The text from the first character not yet consumed on."""

    def __init__(self, path: Path, file: IO[bytes], encoding: str, told: Callable[[int], None]) -> None:
        self._path, self._file, self._told = path, file, told
        self._decode = codecs.getincrementaldecoder(encoding)()
        self._text, self._at, self._ended = "", 0, False
        self._line, self._counted = 1, 0
        self._fault: str | None = None

    def items(self) -> Iterator[Item]:
        first = self._peek()
        if first == "[":
            yield from self._list("")
        elif first == "{":
            yield from self._object()
        elif first:
            raise self._broken("is neither a list nor an object; give a file that the predecessor wrote")
        if self._peek():
            raise self._broken("goes on after its end; two files were written into one")

    def _object(self) -> Iterator[Item]:
        self._at += 1
        while self._peek() != "}":
            key, _ = self._value()
            if not isinstance(key, str):
                raise self._broken("has something else where a name in quotes belongs")
            self._take(":")
            line = self._line_now()
            if self._peek() == "[":
                yield from self._list(key)
            else:
                yield Item(key, None, line, *self._value())
            self._separate("}")
        self._at += 1

    def _list(self, section: str) -> Iterator[Item]:
        self._at += 1
        index = 0
        while self._peek() != "]":
            line = self._line_now()
            yield Item(section, index, line, *self._value())
            index += 1
            self._separate("]")
        self._at += 1

    def _separate(self, closing: str) -> None:
        """Go beyond the comma before the next one; one that stands before the end is forgiven."""
        if self._peek() != closing:
            self._take(",")

    def _take(self, character: str) -> None:
        found = self._peek()
        if found != character:
            raise self._broken(f"has {found!r} where {character!r} belongs" if found else "ends in the middle")
        self._at += 1

    def _value(self) -> tuple[object, str]:
        """Return the value that begins at the next character, and its text."""
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                # Whatever is wrong may only be that the rest was not read yet.
                if len(self._text) - self._at < _LONGEST_RECORD and self._fill():
                    continue
                raise self._broken(_reason(error, ended=self._ended)) from None
            if end == len(self._text) and not isinstance(value, str | list | dict):
                if self._fill():
                    continue  # a number may go on
                raise self._broken("ends in the middle of a record")
            begin, self._at = self._at, end
            return value, self._text[begin:end]

    def _peek(self) -> str:
        """Return the next character that is no space, '' at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Read on, and forget what was consumed. Returns False at the end of the file."""
        if self._fault is not None:
            raise self._broken(self._fault)
        if self._ended:
            return False
        data = self._file.read(_CHUNK)
        try:
            more = self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            # What stands before it is read first.
            more = error.object[: error.start].decode(error.encoding)
            self._fault = f"is no {error.encoding} text here; save it as UTF-8"
        self._ended = not data
        self._line_now()
        self._text, self._at, self._counted = self._text[self._at :] + more, 0, 0
        self._told(self._file.tell())
        return not self._ended

    def _line_now(self) -> int:
        """Return the line of the next character, and remember it."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _broken(self, reason: str) -> BrokenFileError:
        return BrokenFileError(self._path, self._line_now(), reason)


def _reason(error: Exception, *, ended: bool) -> str:
    if isinstance(error, json.JSONDecodeError):
        cut = ended and (error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"))
        return "ends in the middle of a record" if cut else f"is no JSON here: {error.msg}"
    return f"cannot be read here: {error}"
