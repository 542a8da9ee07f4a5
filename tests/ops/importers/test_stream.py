"""Files of any shape and length: what can be read is read, and where it ends is told."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.importers import stream
from ops.importers.errors import BrokenFileError
from ops.importers.stream import Item, read_items

_RECORDS: list[dict[str, Any]] = [
    {"symbol": "DEMO1", "name": "Dé₹mo", "price": 1.5},
    {"symbol": "DEMO2", "nested": {"a": [1, 2, {"b": None}]}},
]
_OBJECT = {"trades": _RECORDS, "failed_orders": [], "last_run": "2024-01-02T18:00:03"}


def _read(path: Path) -> tuple[list[Item], BrokenFileError | None]:
    found: list[Item] = []
    reading: Iterator[Item] = read_items(path)
    try:
        found.extend(reading)
    except BrokenFileError as error:
        return found, error
    return found, None


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "old.json"
    path.write_bytes(data)
    return path


def test_a_bare_list_is_its_records(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, json.dumps(_RECORDS, indent=1).encode()))
    assert broken is None
    assert [(one.where, one.line) for one in found] == [("[0]", 2), ("[1]", 7)]
    assert [json.loads(one.text) for one in found] == _RECORDS


def test_an_object_is_the_records_of_its_lists_and_its_other_values_by_their_names(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, json.dumps(_OBJECT).encode()))
    assert broken is None
    assert [one.where for one in found] == ["trades[0]", "trades[1]", "last_run"]
    assert found[0].value == _RECORDS[0] | {"price": Decimal("1.5")}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_a_file_is_the_same_in_any_encoding_and_any_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, chunk: int
) -> None:
    monkeypatch.setattr(stream, "_CHUNK", chunk)
    found, broken = _read(_file(tmp_path, json.dumps(_OBJECT, ensure_ascii=False, indent=2).encode(encoding)))
    assert broken is None
    assert [one.value for one in found if one.index is not None] == [
        _RECORDS[0] | {"price": Decimal("1.5")}, _RECORDS[1],
    ]  # fmt: skip
    assert [one.line for one in found] == [3, 8, 22]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_either_order_of_bytes_is_told_by_its_mark(tmp_path: Path, encoding: str) -> None:
    found, broken = _read(_file(tmp_path, ("\ufeff" + json.dumps(_RECORDS)).encode(encoding)))
    assert (len(found), broken) == (2, None)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_nothing(tmp_path: Path, word: str) -> None:
    found, broken = _read(_file(tmp_path, f'[{{"rsi10": {word}}}]'.encode()))
    assert broken is None
    assert found[0].value == {"rsi10": None}


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n ", "\ufeff".encode(), "\ufeff \n".encode("utf-16-le")])
def test_an_empty_file_has_no_records(tmp_path: Path, data: bytes) -> None:
    assert _read(_file(tmp_path, data)) == ([], None)


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize("whole", [_RECORDS, _OBJECT], ids=["list", "object"])
def test_a_file_that_ends_at_any_byte_gives_what_stood_before_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: object, chunk: int
) -> None:
    monkeypatch.setattr(stream, "_CHUNK", chunk)
    data = json.dumps(whole, indent=1, ensure_ascii=False).encode()
    complete, _ = _read(_file(tmp_path, data))
    ends = [data.index(one.text.encode()) + len(one.text.encode()) for one in complete]
    for length in range(1, len(data)):
        found, broken = _read(_file(tmp_path, data[:length]))
        assert broken is not None, data[:length]
        # A record counts from its last character on.
        assert found == complete[: sum(end <= length for end in ends)], data[:length]
        assert broken.line in range(found[-1].line if found else 1, data[:length].count(b"\n") + 2)
        assert str(broken).startswith(f"{tmp_path / 'old.json'}:{broken.line}: ")


def test_what_stands_before_a_corrupt_record_is_read_and_its_line_is_told(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, b'[\n{"a": 1},\n{"a": 2},\n{"a" 3},\n{"a": 4}]'))
    assert [one.value for one in found] == [{"a": 1}, {"a": 2}]
    assert broken is not None
    assert (broken.line, broken.reason) == (4, "is no JSON here: Expecting ':' delimiter")


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_what_stands_before_a_byte_that_is_no_text_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(stream, "_CHUNK", chunk)
    found, broken = _read(_file(tmp_path, b'[\n{"a": 1},\n{"a": "\xff"},\n{"a": 3}]'))
    assert [one.value for one in found] == [{"a": 1}]
    assert broken is not None
    assert (broken.line, "save it as UTF-8" in broken.reason) == (3, True)


@pytest.mark.parametrize("text", ['{"available_cash": 1000', '[{"a": 1}, 12'])
def test_a_number_that_the_file_ends_in_is_no_value(tmp_path: Path, text: str) -> None:
    found, broken = _read(_file(tmp_path, text.encode()))
    assert [one.value for one in found if not isinstance(one.value, dict)] == []
    assert broken is not None


def test_two_files_in_one_are_told_after_the_first(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, b'[{"a": 1}]\n[{"a": 2}]'))
    assert len(found) == 1
    assert broken is not None
    assert (broken.line, broken.reason) == (2, "goes on after its end; two files were written into one")


@pytest.mark.parametrize("text", ['"trades"', "12", "tru", "<html>"])
def test_what_is_neither_list_nor_object_is_told(tmp_path: Path, text: str) -> None:
    found, broken = _read(_file(tmp_path, text.encode()))
    assert found == []
    assert broken is not None
    assert "neither a list nor an object" in broken.reason


def test_names_without_quotes_are_told(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, b"{1: [2]}"))
    assert found == []
    assert broken is not None


def test_a_comma_before_the_end_is_forgiven(tmp_path: Path) -> None:
    found, broken = _read(_file(tmp_path, b'{"trades": [{"a": 1},], "last_run": "x",}'))
    assert broken is None
    assert len(found) == 2


def test_what_is_nested_too_deep_is_told_and_what_stood_before_is_read(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    found, broken = _read(_file(tmp_path, f'[{{"a": 1}},\n{{"a": {deep}}}]'.encode()))
    assert [one.value for one in found] == [{"a": 1}]
    assert broken is not None
    assert (broken.line, broken.reason.startswith("cannot be read here")) == (2, True)


def test_a_record_that_never_ends_is_not_read_to_the_end_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_CHUNK", 64)
    monkeypatch.setattr(stream, "_LONGEST_RECORD", 256)
    path = _file(tmp_path, b'[{"a": 1},\n{"a": "' + b"x" * 100_000)
    read: list[int] = []
    found: list[Item] = []
    reading = read_items(path, read.append)
    with pytest.raises(BrokenFileError) as broken:
        found.extend(reading)
    assert ([one.value for one in found], broken.value.line) == ([{"a": 1}], 2)
    assert read[-1] < 1000


def test_how_much_was_read_is_told_up_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_CHUNK", 16)
    path = _file(tmp_path, json.dumps(_OBJECT).encode())
    read: list[int] = []
    list(read_items(path, read.append))
    assert read == sorted(read)
    assert read[-1] == path.stat().st_size
