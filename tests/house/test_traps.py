"""The page of traps names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_trap_is_caught_by_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "ops" / "traps.md").read_text(encoding="utf-8")))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert named - there == set()
