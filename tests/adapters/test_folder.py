"""A folder of bar files as a price source: which files count, what is read again, and which errors name what."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.prices import folder as module
from adapters.prices.bar_file import BarFile, read_bar_file
from adapters.prices.base import BadRow, BarBatch, PriceSourceError
from adapters.prices.folder import FolderPrices
from trading.values import Symbol

HEADER = "date,open,high,low,close,volume"
GOOD = "2024-01-01,100,110,90,105,1000"
EVER = (date(1900, 1, 1), date(2100, 1, 1))
AT = datetime(2024, 1, 1, 10, 0, tzinfo=UTC)


def _write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *(rows or [GOOD]), ""]))
    return path


def _ever(source: FolderPrices) -> BarBatch:
    return asyncio.run(source.bars(*EVER))


def _symbols(source: FolderPrices) -> Sequence[Symbol]:
    return asyncio.run(source.symbols())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files read so far."""
    names: list[str] = []

    def counted(path: Path, symbol: Symbol) -> BarFile:
        names.append(path.name)
        return read_bar_file(path, symbol)

    monkeypatch.setattr(module, "read_bar_file", counted)
    return names


def test_a_file_is_read_once_however_often_bars_are_asked(tmp_path: Path, reads: list[str]) -> None:
    _write(tmp_path, "INFY.csv")
    _write(tmp_path, "TCS.csv")
    source = FolderPrices(tmp_path)
    assert reads == []
    _ever(source)
    _ever(source)
    assert reads == ["INFY.csv", "TCS.csv"]


def test_symbols_are_known_without_reading_a_file(tmp_path: Path, reads: list[str]) -> None:
    _write(tmp_path, "INFY.csv")
    assert _symbols(FolderPrices(tmp_path)) == ["INFY"]
    assert reads == []


def test_quotes_read_only_the_files_of_their_symbols(tmp_path: Path, reads: list[str]) -> None:
    _write(tmp_path, "INFY.csv")
    (tmp_path / "BROKEN.csv").write_text("")
    source = FolderPrices(tmp_path)
    quotes = asyncio.run(source.quotes([Symbol("INFY")], date(2024, 1, 1), AT, whole=False))
    assert quotes.keys() == {"INFY"}
    assert reads == ["INFY.csv"]


def test_a_row_that_arrives_later_is_seen(tmp_path: Path, reads: list[str]) -> None:
    path = _write(tmp_path, "INFY.csv")
    _write(tmp_path, "TCS.csv")
    source = FolderPrices(tmp_path)
    assert len(_ever(source).bars) == 2
    with path.open("a") as file:
        file.write("2024-01-02,100,110,90,106,1000\n")
    assert [bar.day.day for bar in _ever(source).bars] == [1, 2, 1]
    assert reads == ["INFY.csv", "TCS.csv", "INFY.csv"]


def test_a_correction_of_the_same_length_is_seen_by_its_time(tmp_path: Path) -> None:
    path = _write(tmp_path, "INFY.csv")
    source = FolderPrices(tmp_path)
    before = _ever(source).bars[0]
    _write(tmp_path, "INFY.csv", GOOD.replace("105", "106"))
    # File systems with coarse times could give both writes the same one.
    os.utime(path, ns=(10**18, path.stat().st_mtime_ns + 10**9))
    assert [before.close, _ever(source).bars[0].close] == [Decimal(105), Decimal(106)]


def test_files_that_come_and_go_are_seen(tmp_path: Path) -> None:
    infy = _write(tmp_path, "INFY.csv")
    source = FolderPrices(tmp_path)
    assert _symbols(source) == ["INFY"]
    _write(tmp_path, "ACC.csv")
    assert _symbols(source) == ["ACC", "INFY"]
    _ever(source)
    infy.unlink()
    assert {bar.symbol for bar in _ever(source).bars} == {"ACC"}


def test_a_file_that_became_unusable_is_an_error_not_the_answer_of_before(tmp_path: Path) -> None:
    path = _write(tmp_path, "INFY.csv")
    source = FolderPrices(tmp_path)
    _ever(source)
    path.write_text("")
    with pytest.raises(PriceSourceError, match="is empty"):
        _ever(source)
    _write(tmp_path, "INFY.csv", GOOD, "2024-01-02,100,110,90,106,1000")
    assert len(_ever(source).bars) == 2


def test_bad_rows_of_the_range_and_those_without_a_day_are_reported(tmp_path: Path) -> None:
    _write(tmp_path, "INFY.csv", GOOD, "2024-01-02,0,110,90,105,1", "2024-01-03,100,110,90,105,-1", "x,1,1,1,1,1")
    _write(tmp_path, "TCS.csv", "2024-01-02,100,110,90,inf,1", "2024-01-02,100,110,90,105,1")
    batch = asyncio.run(FolderPrices(tmp_path).bars(date(2024, 1, 2), date(2024, 1, 2)))
    assert batch.bad_rows == [
        BadRow("INFY.csv", 3, "open 0.0 is not above zero"),
        BadRow("INFY.csv", 5, "date 'x' is not a day as YYYY-MM-DD"),
        BadRow("TCS.csv", 2, "close 'inf' is not a finite number"),
    ]
    assert [(bar.symbol, bar.day.day) for bar in batch.bars] == [("TCS", 2)]
    assert batch.missing == ["INFY"]


def test_names_are_read_as_symbols_and_other_files_left_alone(tmp_path: Path) -> None:
    for name in ["tcs.NS.csv", "M&M.CSV", "BAJAJ-AUTO.csv", "INFY-EQ.csv"]:
        _write(tmp_path, name)
    for name in [".INFY.csv", "README.md", "WIPRO.csv.part"]:
        (tmp_path / name).write_text("not bars")
    assert _symbols(FolderPrices(tmp_path)) == ["BAJAJ-AUTO", "INFY", "M&M", "TCS"]


def test_two_files_of_one_symbol_are_an_error_that_names_both(tmp_path: Path) -> None:
    _write(tmp_path, "INFY.NS.csv")
    _write(tmp_path, "infy.csv")
    source = FolderPrices(tmp_path)
    with pytest.raises(PriceSourceError, match=r"INFY\.NS\.csv and infy\.csv both name INFY; remove one"):
        _symbols(source)
    with pytest.raises(PriceSourceError, match="both name INFY"):
        _ever(source)


def test_a_file_name_that_is_no_symbol_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, "my notes.csv")
    with pytest.raises(PriceSourceError, match=r"my notes\.csv.*not a symbol.*rename"):
        _symbols(FolderPrices(tmp_path))


def test_an_empty_folder_is_an_error_and_no_empty_answer(tmp_path: Path) -> None:
    source = FolderPrices(tmp_path)
    for question in (source.symbols(), source.bars(*EVER), source.quotes([], date(2024, 1, 1), AT, whole=True)):
        with pytest.raises(PriceSourceError, match=r"has no \.csv or \.parquet file; put one file a symbol there"):
            asyncio.run(question)


def test_a_wrong_folder_is_an_error_at_once(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", _write(tmp_path, "INFY.csv")):
        with pytest.raises(PriceSourceError, match="is not a folder; name an existing folder"):
            FolderPrices(path)


def test_a_folder_that_vanished_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    source = FolderPrices(tmp_path / "bars")
    (tmp_path / "bars").rmdir()
    with pytest.raises(PriceSourceError, match="is not a folder"):
        _symbols(source)


def test_the_name_is_that_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "nifty50").mkdir()
    assert FolderPrices(f"{tmp_path}/nifty50/").name == "folder nifty50"


DAY = date(2024, 1, 2)
DAYS_HEADER = "symbol,open,high,low,close,volume"


def _write_day(folder: Path, *rows: str, end: str = "\n") -> Path:
    path = folder / f"{DAY}.csv"
    path.write_text("\n".join([DAYS_HEADER, *rows]) + end)
    return path


def test_a_file_of_a_day_adds_to_the_files_of_symbols(tmp_path: Path) -> None:
    _write(tmp_path, "INFY.csv")
    _write(tmp_path, "ACC.csv")
    source = FolderPrices(tmp_path)
    assert len(_ever(source).bars) == 2
    _write_day(tmp_path, "INFY,100,110,90,107,1", "TCS,100,110,90,108,1")
    batch = asyncio.run(source.bars(date(2024, 1, 1), DAY))
    assert [(bar.symbol, bar.day.day, int(bar.close)) for bar in batch.bars] == [
        ("ACC", 1, 105), ("INFY", 1, 105), ("INFY", 2, 107), ("TCS", 2, 108),
    ]  # fmt: skip
    assert batch.missing == ["ACC"]
    assert _symbols(source) == ["ACC", "INFY", "TCS"]


def test_a_folder_of_days_alone_answers_for_the_days_asked(tmp_path: Path) -> None:
    _write_day(tmp_path, "INFY,100,110,90,107,1")
    source = FolderPrices(tmp_path)
    assert asyncio.run(source.bars(date(2024, 1, 1), date(2024, 1, 1))).bars == []
    assert [bar.close for bar in asyncio.run(source.bars(DAY, DAY)).bars] == [107]


def test_a_symbols_own_file_counts_before_the_days(tmp_path: Path) -> None:
    _write(tmp_path, "INFY.csv", "2024-01-02,100,110,90,105,1000")
    _write_day(tmp_path, "INFY,100,110,90,107,1")
    source = FolderPrices(tmp_path)
    assert [bar.close for bar in asyncio.run(source.bars(DAY, DAY)).bars] == [105]
    assert asyncio.run(source.quotes([Symbol("INFY")], DAY, AT, whole=True))[Symbol("INFY")].last == 105


def test_a_half_written_day_has_not_come_yet_and_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "INFY.csv")
    _write_day(tmp_path, "INFY,100,110,90,107,1", "TCS,100,110,90,10", end="")
    source = FolderPrices(tmp_path)
    batch = asyncio.run(source.bars(DAY, DAY))
    ((row,), bars) = batch.bad_rows, batch.bars
    assert (row.file, row.line, bars, batch.missing) == (f"{DAY}.csv", 1, [], ["INFY"])
    assert "still being written" in row.reason
    assert asyncio.run(source.quotes([Symbol("INFY")], DAY, AT, whole=True)) == {}
    assert not asyncio.run(source.shows(DAY))
    _write_day(tmp_path, "INFY,100,110,90,107,1", "TCS,100,110,90,108,1")
    assert len(asyncio.run(source.bars(DAY, DAY)).bars) == 2


def test_a_quote_of_a_days_file_shows_the_open_until_the_day_is_whole(tmp_path: Path) -> None:
    _write_day(tmp_path, "INFY,100,110,90,107,1")
    source, infy = FolderPrices(tmp_path), Symbol("INFY")
    lasts = [asyncio.run(source.quotes([infy], DAY, AT, whole))[infy].last for whole in (False, True)]
    assert lasts == [100, 107]


@pytest.mark.parametrize("name", [f"{DAY}.csv", "INFY.csv"])
def test_a_day_is_shown_as_soon_as_any_file_has_it(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DARK_SECONDS", 0.0)
    _write(tmp_path, "ACC.csv")
    source = FolderPrices(tmp_path)
    assert not asyncio.run(source.shows(DAY))
    row = "2024-01-02,100,110,90,105,1000"
    (tmp_path / name).write_text(f"{HEADER}\n{row}\n" if name == "INFY.csv" else f"{DAYS_HEADER}\nINFY{row[10:]}\n")
    assert asyncio.run(source.shows(DAY))


def test_two_files_of_one_day_are_an_error_that_names_both(tmp_path: Path) -> None:
    _write_day(tmp_path, "INFY,100,110,90,107,1")
    (tmp_path / f"{DAY}.parquet").write_bytes(b"")
    with pytest.raises(PriceSourceError, match=r"2024-01-02\.csv and 2024-01-02\.parquet both name 2024-01-02"):
        _ever(FolderPrices(tmp_path))
