"""Many rows as one parameter a column: joined here and taken apart by Postgres, which costs both less than arrays."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum

# Control signs, which no value holds: what separates values, and what stands for a null.
_SEPARATOR, _NULL = "\x1f", "\x1e"


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

    def values(self, **columns: Iterable[object]) -> Mapping[str, str]:
        """Return the parameters of `rows`. Raises KeyError when a column is missing."""
        return {name: _SEPARATOR.join([_text(value) for value in columns[name]]) for name in self._kinds}


def _text(value: object) -> str:
    if value is None:
        return _NULL
    if isinstance(value, Enum):
        return str(value.value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
