"""Many rows as one parameter a column: joined here and taken apart by Postgres, which costs both less than arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

# Control signs, which no value holds: what separates values, and what stands for a null.
_SEPARATOR, _NULL = "\x1f", "\x1e"
_TEXTS, _TIMES = frozenset({"text"}), frozenset({"timestamptz", "date"})


class Columns:
    """The columns of a statement's rows: name -> type of Postgres.

    Texts must hold no control characters, and an empty one is no value: say None.
    """

    def __init__(self, **kinds: str) -> None:
        self._kinds = kinds

    def rows(self, alias: str) -> str:
        """Return the SQL of the rows, to stand after FROM."""
        arrays = (f"CAST(string_to_array(:{name}, chr(31), chr(30)) AS {kind}[])" for name, kind in self._kinds.items())
        return f"unnest({', '.join(arrays)}) AS {alias}({', '.join(self._kinds)})"

    def values(self, **columns: Iterable[Any]) -> Mapping[str, str]:
        """Return the parameters of `rows`. Raises KeyError when a column is missing."""
        return {name: _SEPARATOR.join(_texts(columns[name], kind)) for name, kind in self._kinds.items()}


def _texts(values: Iterable[Any], kind: str) -> list[str]:
    """Return values as Postgres reads them. A loop for each kind: an import asks some millions of times."""
    if kind in _TEXTS:
        return [_NULL if value is None else value for value in values]
    if kind in _TIMES:
        return [_NULL if value is None else value.isoformat() for value in values]
    return [_NULL if value is None else str(value) for value in values]
