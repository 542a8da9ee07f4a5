"""CSV and Parquet files as text columns with line numbers. What the texts mean is for who asked."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from adapters.prices.base import PriceSourceError

SUFFIXES = frozenset({".csv", ".parquet"})

Columns = Mapping[str, Sequence[str]]
"""What a column is called here, and the names it may have in a file, in lower case, the first the one to say."""


def read_table(
    path: Path, columns: Columns, optional: Columns | None = None, *, whole_lines: bool = False
) -> pl.DataFrame:
    """Return line, shape (a fault or null) and the columns as text; those of `optional` only where the file has them.

    Lines count from 1, the header; a Parquet row counts as if a header stood above it. whole_lines: refuse a CSV whose
    last line has no end, as one still being written has. Raises PriceSourceError when the file is empty, cannot be read
    or lacks a column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PriceSourceError(f"{path}: cannot be read ({error.strerror}); check the file and its rights") from error
    names = [known[0] for known in columns.values()]
    if not content.strip():
        raise PriceSourceError(f"{path}: is empty; expected the columns {', '.join(names)} and a row a day")
    if path.suffix.lower() == ".parquet":
        frame = _parquet_frame(path, content, columns, optional or {})
    else:
        if whole_lines and not content.endswith((b"\n", b"\r")):
            cure = "is it still being written? write it under another name and rename it"
            raise PriceSourceError(f"{path}: its last line has no end; {cure}")
        frame = _csv_frame(path, content, columns, optional or {})
    if frame.is_empty():
        raise PriceSourceError(f"{path}: has columns but no rows; write a row a day, or remove the file")
    return frame


def _csv_frame(path: Path, content: bytes, columns: Columns, optional: Columns) -> pl.DataFrame:
    """Lines are cut here: polars' own reader refuses the whole file for one stray quote or surplus field."""
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        header = next(csv.reader(lines[:1]), [])
        numbered = [(number, _plain(line)) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        cause = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise PriceSourceError(f"{path}: is no text of lines ({cause}); save it as CSV in UTF-8") from error
    places = _places(path, header, columns, optional)
    frame = pl.DataFrame(numbered, schema={"line": pl.Int64, "text": pl.String}, orient="row")
    fields = pl.col("text").str.split(",")
    count = fields.list.len()
    shape = pl.when(count != len(header)).then(pl.format("{} fields where the header has {}", count, len(header)))
    texts = {name: fields.list.get(at, null_on_oob=True).str.strip_chars() for name, at in places.items()}
    return frame.select("line", shape=shape, **texts)


def _parquet_frame(path: Path, content: bytes, columns: Columns, optional: Columns) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
        places = _places(path, frame.columns, columns, optional)
        found = pl.DataFrame({name: frame.to_series(at) for name, at in places.items()})
        # The wall time as written, not as UTC.
        texts = found.with_columns(pl.selectors.datetime().dt.replace_time_zone(None)).cast(pl.String)
    except (pl.exceptions.PolarsError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise PriceSourceError(f"{path}: is not a readable Parquet file ({cause}); write it again") from error
    return texts.with_row_index("line", offset=2).with_columns(shape=pl.lit(None, pl.String))


def _places(path: Path, found: Sequence[str], columns: Columns, optional: Columns) -> dict[str, int]:
    names = [name.strip().lower() for name in found]
    shown = ", ".join(name.strip() for name in found)
    places: dict[str, int] = {}
    for name, known in {**columns, **optional}.items():
        at = [place for place, one in enumerate(names) if one in known]
        if len(at) > 1:
            raise PriceSourceError(f"{path}: has the column {known[0]} twice; found: {shown}; keep one of them")
        if at:
            places[name] = at[0]
    if missing := [known[0] for name, known in columns.items() if name not in places]:
        wanted = ", ".join(known[0] for known in columns.values())
        cure = f"name them {wanted} in any case, separated by commas"
        raise PriceSourceError(f"{path}: lacks the column {', '.join(missing)}; found: {shown}; {cure}")
    return places


def _plain(line: str) -> str:
    """Return the line without quotes, so that a comma only separates."""
    if '"' not in line:
        return line
    return ",".join(field.replace(",", " ") for field in next(csv.reader([line])))
