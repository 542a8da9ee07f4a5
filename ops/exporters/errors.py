"""Why an export does not go on; each says what, where and the cure.

ImportingError
  NotEmptyError        a place to write to that is no empty folder
  UnsoundRecordError   a position that is not the sum of its fills
"""

from pathlib import Path

from ops.importers.errors import ImportingError


class NotEmptyError(ImportingError):
    """A place to write to that is no empty folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: is no empty folder; give one that is empty or not there yet, nothing is overwritten")
        self.path = path


class UnsoundRecordError(ImportingError):
    """A position that its fills do not add up to: what would be written of it were wrong."""

    def __init__(self, position_id: int, symbol: str, said: str) -> None:
        super().__init__(
            f"position {position_id} in {symbol}: {said}; see `muhurat doctor`, mend it, then export again"
        )
        self.position_id, self.symbol = position_id, symbol
