"""The page of traps names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


PAGE = (ROOT / "ops" / "traps.md").read_text(encoding="utf-8")


def test_every_trap_names_a_test_in_its_last_column() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    traps = [row for row in rows if row[0] != "it went wrong"]
    assert len(traps) > 60
    assert [row[0] for row in traps if len(row) != 3 or not re.fullmatch(r"`test_\w+`(, `test_\w+`)*", row[2])] == []


def test_every_trap_is_caught_by_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert named - there == set()
