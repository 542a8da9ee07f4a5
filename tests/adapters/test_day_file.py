"""Reading the file of one day: our columns or the exchange's, and what is refused by which line and reason."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from adapters.prices.base import BadRow, PriceSourceError
from adapters.prices.day_file import DayFile, day_named, read_day_file
from trading.bars import Bar
from trading.values import Symbol

DAY = date(2026, 1, 30)
HEADER = "symbol,date,open,high,low,close,volume"
INFY, TCS = "INFY,2026-01-30,100,110,90,105.25,1000", "TCS,2026-01-30,200,210,190,205,2000"
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,OpnPric,HghPric,LwPric,ClsPric,LastPric,"
    "PrvsClsgPric,TtlTradgVol"
)


def _read(folder: Path, text: str, name: str = "2026-01-30.csv") -> DayFile:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return read_day_file(path, DAY)


def test_a_day_is_read_with_its_prices_exact(tmp_path: Path) -> None:
    file = _read(tmp_path, f"{HEADER}\n{INFY}\n{TCS}\n")
    prices = (Decimal(100), Decimal(110), Decimal(90), Decimal("105.25"))
    assert file.bars[Symbol("INFY")] == Bar(Symbol("INFY"), DAY, *prices, 1000)
    assert (set(file.bars), file.refused) == ({"INFY", "TCS"}, [])


def test_without_a_date_column_the_name_says_the_day(tmp_path: Path) -> None:
    file = _read(tmp_path, "Symbol,Open,High,Low,Close,Volume\ninfy.NS,100,110,90,105,1000\n")
    assert file.bars[Symbol("INFY")].day == DAY


def test_a_bhavcopy_is_taken_as_the_exchange_gives_it_shares_alone(tmp_path: Path) -> None:
    rows = [
        f"2026-01-30,2026-01-30,CM,NSE,STK,1,INE1,{symbol},{series},100,110,90,105,105,99,1000"
        for symbol, series in [("INFY", "EQ"), ("INFY", "N1"), ("BEML", "BE"), ("SGBX", "GB")]
    ]
    file = _read(tmp_path, "\n".join([UDIFF, *rows, ""]))
    assert (set(file.bars), file.refused) == ({"INFY", "BEML"}, [])


def test_a_parquet_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "2026-01-30.parquet"
    columns = {"symbol": ["INFY"], "date": [DAY], "open": [1.0], "high": [2.0], "low": [0.5], "close": [1.5]}
    pl.DataFrame({**columns, "volume": [7]}).write_parquet(path)
    assert read_day_file(path, DAY).bars[Symbol("INFY")].volume == 7


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("WIPRO,2026-01-29,100,110,90,105,1", "date 2026-01-29 stands in the file of 2026-01-30"),
        ("WIPRO,soon,100,110,90,105,1", "date 'soon' is not a day as YYYY-MM-DD"),
        ("my notes,2026-01-30,100,110,90,105,1", "symbol 'my notes' is no symbol"),
        (",2026-01-30,100,110,90,105,1", "symbol (nothing) is no symbol"),
        ("WIPRO,2026-01-30,100,99,90,105,1", "high 99.0 is below open or close 105.0"),
        ("WIPRO,2026-01-30,100,inf,90,105,1", "high 'inf' is not a finite number"),
        ("WIPRO,2026-01-30,100,110", "4 fields where the header has 7"),
        ("INFY,2026-01-30,101,110,90,105,1", "INFY has a row above already"),
    ],
)
def test_a_bad_row_is_named_and_its_neighbours_are_kept(tmp_path: Path, row: str, reason: str) -> None:
    file = _read(tmp_path, f"{HEADER}\n{INFY}\n{row}\n{TCS}\n")
    assert file.refused == [BadRow("2026-01-30.csv", 3, reason)]
    assert {symbol: bar.volume for symbol, bar in file.bars.items()} == {"INFY": 1000, "TCS": 2000}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}\n{INFY}\n{TCS}", "its last line has no end; is it still being written"),
        (f"{HEADER}\n{INFY}\n{TCS[:-2]}", "its last line has no end"),
        (f"{HEADER}\n", "has columns but no rows"),
        ("", "is empty"),
        ("symbol,open,high,low,close\nINFY,1,1,1,1\n", "lacks the column volume"),
        ("symbol,tckrsymb,open,high,low,close,volume\nA,A,1,1,1,1,1\n", "has the column symbol twice"),
        (f"{UDIFF}\n2026-01-30,2026-01-30,CM,NSE,STK,1,I,A,N1,1,1,1,1,1,1,1\n", "has no row of the series BE, BZ, EQ"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_never_an_empty_day(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PriceSourceError, match=said):
        _read(tmp_path, text)


def test_only_a_day_names_a_day() -> None:
    names = ["2026-01-30", "2026-02-30", "INFY", "20260130", "2026-01-30-x"]
    assert [day_named(name) for name in names] == [DAY, None, None, None, None]
