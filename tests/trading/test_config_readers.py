"""Every field that is not reserved is read by something that decides: a field without a reader is a promise broken."""

import ast
from pathlib import Path

import pytest

from trading.config import LIVE, RESERVED

ROOT = Path(__file__).parents[2]
ROOMS = ("trading", "worker", "db", "adapters")
# They hold, check and store the fields; to read one there decides nothing.
KEEPERS = {"trading/config.py", "trading/config_changes.py", "db/configs.py", "db/config_rows.py"}


def _is_config(value: ast.expr) -> bool:
    """Tell whether an expression is a configuration by its last name: `config`, `case.config.config`."""
    return getattr(value, "attr", getattr(value, "id", None)) == "config"


def _read_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute) and _is_config(node.value)}


def _read() -> set[str]:
    files = {path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    return set().union(*(_read_in(path) for path in files if path.relative_to(ROOT).as_posix() not in KEEPERS))


READ = _read()


@pytest.mark.parametrize("name", sorted(LIVE))
def test_a_field_that_users_set_is_read(name: str) -> None:
    assert name in READ


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_is_called_reserved_is_read_by_nothing(name: str) -> None:
    assert name not in READ
