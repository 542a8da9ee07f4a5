"""Why an import or an export does not go on; each says what, where and the cure.

ImportingError
  NoSourceError      nothing to bring in at a place
  NoTargetError      no such user or account
  BrokenFileError    a file that ends in the middle, or is no JSON from some place on
  ImportRaceError    somebody else brings the same source in
  BuiltUponError     a batch that trading has gone on from
"""

from collections.abc import Sequence
from pathlib import Path


class ImportingError(Exception):
    """The base of all of them."""


class NoSourceError(ImportingError):
    """There is nothing to bring in at a place."""


class NoTargetError(ImportingError):
    """There is no such user or account, and nobody said to make one."""


class BrokenFileError(ImportingError):
    """A file that ends in the middle or is no JSON from some place on. What stood before it was read."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path, self.line, self.reason = path, line, reason


class ImportRaceError(ImportingError):
    """Somebody else brings the same source in at this moment."""

    def __init__(self, batch_id: int) -> None:
        super().__init__(
            f"batch {batch_id}: the same source is being brought in by somebody else; wait, then see how it went with "
            f"`muhurat import show {batch_id}`"
        )


class BuiltUponError(ImportingError):
    """Live trading has built on what an import made. rows: which rows, in words."""

    def __init__(self, batch_id: int, rows: Sequence[str]) -> None:
        named = "; ".join(rows[:10]) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
        super().__init__(f"batch {batch_id} cannot be rolled back: trading has gone on from it: {named}")
        self.rows = rows
