"""A Procfile is read as platforms read it, and a wrong one says which line."""

from pathlib import Path

import pytest

from ops.procfile import Entry, ProcfileError, parse_procfile, read_procfile

ROOT = Path(__file__).parents[2]


def test_names_and_words_are_read_in_order() -> None:
    text = "# all of them\nrelease: python -m ops.cli migrate\n\nweb-1:python -m web --title 'a b'\n"
    assert parse_procfile(text) == [
        Entry("release", ("python", "-m", "ops.cli", "migrate")),
        Entry("web-1", ("python", "-m", "web", "--title", "a b")),
    ]


def test_the_house_has_one_that_can_be_read() -> None:
    assert [entry.name for entry in read_procfile(ROOT / "Procfile")] == [
        "release",
        "scheduler",
        "worker",
        "strategy",
        "ml",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web: a\nno command here", "line 2"),
        ("web:", "line 1"),
        ("a b: c", "line 1"),
        ("web: say 'it", "close the quotation"),
        ("web: a\nweb: b", "there twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(ProcfileError, match=said):
        parse_procfile(text)


def test_a_file_that_is_not_there_or_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProcfileError, match="cannot be read"):
        read_procfile(tmp_path / "Procfile")
    (tmp_path / "Procfile").write_text("# later\n")
    with pytest.raises(ProcfileError, match="names no process"):
        read_procfile(tmp_path / "Procfile")
