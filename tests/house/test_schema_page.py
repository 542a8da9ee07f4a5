"""The page of the schema says what the models say, and leaves no table out."""

from db.tables import metadata
from ops.schema_page import CHAPTERS, PAGE, schema_page


def test_the_page_is_as_fresh_as_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == schema_page(), "run `python -m ops.schema_page`"


def test_every_table_stands_in_one_chapter() -> None:
    told = [table for tables in CHAPTERS.values() for table in tables]
    assert sorted(told) == sorted(metadata.tables)
