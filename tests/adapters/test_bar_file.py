"""Reading one bar file: what is kept, and by which line and reason the rest is refused."""

import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.prices.bar_file import BarFile, read_bar_file
from adapters.prices.base import BadRow, PriceSourceError
from trading.bars import Bar
from trading.values import Symbol

INFY = Symbol("INFY")
HEADER = "date,open,high,low,close,volume"
GOOD = "2024-01-01,100,110,90,105,1000"
MIDNIGHTS = pl.Series([date(2024, 1, 2), date(2024, 1, 1)]).cast(pl.Datetime)
EVER = (date(1900, 1, 1), date(2100, 1, 1))


def _read(folder: Path, text: str) -> BarFile:
    path = folder / "INFY.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_bar_file(path, INFY)


def _bars(file: BarFile) -> list[Bar]:
    return list(file.series.bars(*EVER))


def _bad(file: BarFile) -> list[BadRow]:
    return [refused.row for refused in file.refused]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2024-01-02,abc,110,90,105,1", "open 'abc' is not a finite number"),
        ("2024-01-02,100,,90,105,1", "high (nothing) is not a finite number"),
        ("2024-01-02,100,110,NaN,105,1", "low 'NaN' is not a finite number"),
        ("2024-01-02,100,inf,90,105,1", "high 'inf' is not a finite number"),
        ("2024-01-02,100,110,90,-inf,1", "close '-inf' is not a finite number"),
        ("2024-01-02,100,110,0,105,1", "low 0.0 is not above zero"),
        ("2024-01-02,100,110,90,-5,1", "close -5.0 is not above zero"),
        ("2024-01-02,100,110,0.00001,105,1", "low 1e-05 is not above zero"),
        ("2024-01-02,100,2e9,90,105,1", "high 2000000000.0 is above 1000000000"),
        ("2024-01-02,100,104.9,90,105,1", "high 104.9 is below open or close 105.0"),
        ("2024-01-02,100,110,100.1,105,1", "low 100.1 is above open or close 100.0"),
        ("2024-01-02,100,99.98,100.02,100,1", "high 99.98 is below low 100.02"),
        ("2024-01-02,100,110,90,105,-1", "volume -1 is negative"),
        ("2024-01-02,100,110,90,105,", "volume (nothing) is not a finite number"),
        ("2024-01-02,100,110,90,105,1e16", "volume 10000000000000000 is above 1000000000000000"),
        ("2024-02-30,100,110,90,105,1", "date '2024-02-30' is not a day as YYYY-MM-DD"),
        ("02-01-2024,100,110,90,105,1", "date '02-01-2024' is not a day as YYYY-MM-DD"),
        (",100,110,90,105,1", "date (nothing) is not a day as YYYY-MM-DD"),
        ("2024-01-01T18:30:00Z,100,110,90,105,1", "date '2024-01-01T18:30:00Z' is not a day as YYYY-MM-DD"),
        ("2024-01-01,101,110,90,105,1", "date 2024-01-01 is already on line 2"),
        ("2024-01-02,100,110,90,105", "5 fields where the header has 6"),
        ("2024-01-02,1,100,110,90,105,1", "7 fields where the header has 6"),
        ('2024-01-02,"1,100",1110,90,105,1', "open '1 100' is not a finite number"),
    ],
)
def test_a_bad_row_is_named_by_line_and_reason_and_its_neighbours_are_kept(
    tmp_path: Path, row: str, reason: str
) -> None:
    file = _read(tmp_path, f"{HEADER}\n{GOOD}\n{row}\n2024-01-03,100,110,90,105,1000\n")
    assert _bad(file) == [BadRow("INFY.csv", 3, reason)]
    assert [bar.day for bar in _bars(file)] == [date(2024, 1, 1), date(2024, 1, 3)]


def test_a_refused_row_keeps_its_day_where_that_can_be_read(tmp_path: Path) -> None:
    file = _read(tmp_path, f"{HEADER}\n2024-01-02,0,110,90,105,1\nsoon,100,110,90,105,1\n")
    assert [refused.day for refused in file.refused] == [date(2024, 1, 2), None]


def test_blank_lines_are_no_rows_and_still_count_as_lines(tmp_path: Path) -> None:
    file = _read(tmp_path, f"{HEADER}\r\n{GOOD}\r\n\r\n  \r\n2024-01-02,x,110,90,105,1\r\n\r\n")
    assert [(row.line, row.reason[:8]) for row in _bad(file)] == [(5, "open 'x'")]
    assert len(_bars(file)) == 1


def test_a_high_within_the_tolerance_is_kept_as_written(tmp_path: Path) -> None:
    file = _read(tmp_path, f"{HEADER}\n2024-01-01,100,104.95,100.04,105,1\n")
    assert _bad(file) == []
    assert (_bars(file)[0].high, _bars(file)[0].low) == (Decimal("104.95"), Decimal("100.04"))


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    days = ["2024-01-05", "2024-01-03", "2024-01-04"]
    file = _read(tmp_path, "\n".join([HEADER, *(f"{day},100,110,90,105,{day[-2:]}" for day in days)]))
    assert [(bar.day.day, bar.volume) for bar in _bars(file)] == [(3, 3), (4, 4), (5, 5)]


def test_of_two_rows_of_a_day_the_first_good_one_is_kept(tmp_path: Path) -> None:
    days = ["2024-01-05,0", "2024-01-03,3", "2024-01-05,5", "2024-01-03,4", "2024-01-05,6"]
    file = _read(tmp_path, "\n".join([HEADER, *(f"{day},9,1,2,{day[-1]}" for day in days)]))
    assert [(bar.day.day, bar.volume) for bar in _bars(file)] == [(3, 3), (5, 5)]
    assert [row.line for row in _bad(file)] == [2, 5, 6]
    assert _bad(file)[2].reason == "date 2024-01-05 is already on line 4"


def test_columns_are_found_in_any_case_and_order_and_others_ignored(tmp_path: Path) -> None:
    text = '\ufeffVolume, Adj Close,CLOSE,"Low",High,Open,Name,Date\n7,1,105,90,110,100,"Infosys, Ltd",2024-01-01\n'
    bar = _bars(_read(tmp_path, text))[0]
    prices = (Decimal(100), Decimal(110), Decimal(90), Decimal(105))
    assert bar == Bar(INFY, date(2024, 1, 1), *prices, 7)


@pytest.mark.parametrize(
    "written", ["2024-01-01", '"2024-01-01"', " 2024-01-01 ", "2024-01-01 00:00:00", "2024-01-01T00:00:00+05:30"]
)
def test_a_day_may_be_written_as_its_midnight(tmp_path: Path, written: str) -> None:
    assert _bars(_read(tmp_path, f"{HEADER}\n{written},100,110,90,105,1\n"))[0].day == date(2024, 1, 1)


@given(
    paise=st.lists(st.integers(1, 10**11), min_size=4, max_size=4),
    places=st.integers(0, 4),
    volume=st.integers(0, 10**12),
)
def test_prices_are_exact_as_written(
    tmp_path_factory: pytest.TempPathFactory, paise: list[int], places: int, volume: int
) -> None:
    low, opened, close, high = (Decimal(units).scaleb(-places) for units in sorted(paise))
    if high > 10**9:
        high = low = opened = close = Decimal("0.0001")
    path = tmp_path_factory.mktemp("bars") / "INFY.csv"
    path.write_text(f"{HEADER}\n2024-01-01,{opened:f},{high:f},{low:f},{close:f},{volume}\n")
    assert _bars(read_bar_file(path, INFY)) == [Bar(INFY, date(2024, 1, 1), opened, high, low, close, volume)]


def test_more_than_four_decimals_are_rounded(tmp_path: Path) -> None:
    bar = _bars(_read(tmp_path, f"{HEADER}\n2024-01-01,100.123456,110.99999,90,105,1.0\n"))[0]
    assert (bar.open, bar.high, bar.volume) == (Decimal("100.1235"), Decimal(111), 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", HEADER.replace(",", ", ")]),
        (" \n\n", ["is empty"]),
        (f"{HEADER}\n", ["no rows"]),
        (
            "date,open,high,low,volume\n",
            ["lacks the column close", "found: date, open, high, low, volume", "name them"],
        ),
        ("date;open;high;low;close;volume\n", ["found: date;open", "separated by commas"]),
        (GOOD, ["lacks the column date, open"]),
        (f"{HEADER},Close\n", ["column close twice", "keep one"]),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong_and_the_cure(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(PriceSourceError) as caught:
        _read(tmp_path, text)
    for word in [str(tmp_path / "INFY.csv"), *words]:
        assert word in str(caught.value)


def test_text_that_is_not_utf8_is_an_error_not_a_guess(tmp_path: Path) -> None:
    (tmp_path / "INFY.csv").write_bytes(HEADER.encode("utf-16"))
    with pytest.raises(PriceSourceError, match="not UTF-8"):
        read_bar_file(tmp_path / "INFY.csv", INFY)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    file = _read(tmp_path, end.join([HEADER, GOOD, '"2024-01-02",1,1,1,1,x', ""]))
    assert (len(_bars(file)), [row.line for row in _bad(file)]) == (1, [3])


def test_a_stray_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    file = _read(tmp_path, f'{HEADER}\n"2024-01-02,100,110,90,105,1\n{GOOD}\n')
    assert (len(_bars(file)), [row.line for row in _bad(file)]) == (1, [2])


def test_a_file_that_is_one_endless_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PriceSourceError, match="no text of lines"):
        _read(tmp_path, "x" * 200_000)


def test_a_path_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "INFY.csv").mkdir()
    with pytest.raises(PriceSourceError, match="cannot be read"):
        read_bar_file(tmp_path / "INFY.csv", INFY)


def _parquet(folder: Path, **columns: pl.Series) -> BarFile:
    dates = pl.Series([date(2024, 1, 2), date(2024, 1, 1)])
    prices = {"Open": [100.05, 100.0], "High": [110.0, 110.0], "Low": [90.0, 90.0], "Close": [105.0, 105.0]}
    frame = pl.DataFrame({"Date": dates, **prices, "Volume": [2, 1], "Extra": ["a", "b"], **columns})
    frame.write_parquet(folder / "INFY.parquet")
    return read_bar_file(folder / "INFY.parquet", INFY)


def test_a_parquet_file_gives_the_same_bars_as_a_csv_file(tmp_path: Path) -> None:
    text = f"{HEADER}\n2024-01-02,100.05,110,90,105,2\n2024-01-01,100,110,90,105,1\n"
    assert _bars(_parquet(tmp_path)) == _bars(_read(tmp_path, text))


def test_a_bad_parquet_row_is_counted_as_if_a_header_stood_above(tmp_path: Path) -> None:
    file = _parquet(tmp_path, Close=pl.Series([105.0, None]))
    assert _bad(file) == [BadRow("INFY.parquet", 3, "close (nothing) is not a finite number")]
    assert len(_bars(file)) == 1


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_a_parquet_time_stamp_at_midnight_is_its_day(tmp_path: Path, zone: str | None) -> None:
    stamps = MIDNIGHTS.dt.replace_time_zone(zone)
    assert [bar.day.day for bar in _bars(_parquet(tmp_path, Date=stamps))] == [1, 2]


def test_an_indian_midnight_stored_as_utc_is_refused_rather_than_dated_a_day_early(tmp_path: Path) -> None:
    local = MIDNIGHTS.dt.replace_time_zone("Asia/Kolkata")
    file = _parquet(tmp_path, Date=local.dt.convert_time_zone("UTC"))
    assert [row.line for row in _bad(file)] == [2, 3]
    assert _bars(file) == []


@pytest.mark.parametrize("content", [b"hello", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_an_error_with_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "INFY.parquet").write_bytes(content)
    with pytest.raises(PriceSourceError, match=r"INFY\.parquet: is not a readable Parquet file"):
        read_bar_file(tmp_path / "INFY.parquet", INFY)


def test_a_parquet_column_of_no_use_is_an_error_with_the_files_name(tmp_path: Path) -> None:
    with pytest.raises(PriceSourceError, match=r"INFY\.parquet"):
        _parquet(tmp_path, Close=pl.Series([b"\xff\xfe", b"1"]))


def test_real_bars_are_read_without_a_bad_row() -> None:
    folder = os.environ.get("MUHURAT_SAMPLE_DATA")
    if not folder:
        message = "set MUHURAT_SAMPLE_DATA to the sample data"
        if "data" in os.environ.get("MUHURAT_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    files = [read_bar_file(path, INFY) for path in sorted((Path(folder) / "nifty50").glob("*.csv"))]
    assert len(files) == 34
    assert [file.refused for file in files if file.refused] == []
    assert all(len(file.series.days) > 1000 for file in files)
