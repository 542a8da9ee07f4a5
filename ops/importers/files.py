"""Finds the predecessor's files below a folder: where its live and its paper service left them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.importers import pending_file, tracked_file, trades_file
from ops.importers.errors import NoSourceError
from ops.importers.orders import Ground
from ops.importers.paper_files import CONFIG, FILES
from ops.importers.paper_files import KIND as PAPER
from ops.importers.paper_source import PaperSource
from ops.importers.source import FileSource, Source, Told, fingerprint
from ops.importers.stream import read_items

# In the order that they must be brought in: the history tells of orders that the others name.
LIVE_FILES: Mapping[str, str] = {
    trades_file.KIND: "trades_history.json",
    pending_file.KIND: "pending_orders.json",
    tracked_file.KIND: "system_recommended_symbols.json",
}
_READERS = {
    trades_file.KIND: trades_file.trade_entries,
    pending_file.KIND: pending_file.pending_entries,
    tracked_file.KIND: tracked_file.tracked_entries,
}
_LIVE_FOLDERS = (".", "data")
_PAPER_FOLDERS = (".", "paper_trading/unified_service", "unified_service")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A source that is there. size: bytes."""

    kind: str
    path: Path
    unit: str = "bytes"

    @property
    def label(self) -> str:
        """Its name, for people."""
        return self.path.name

    @property
    def size(self) -> int:
        """Return its bytes."""
        if self.path.is_file():
            return self.path.stat().st_size
        return sum(path.stat().st_size for name in FILES if (path := self.path / name).exists())

    def open(self, ground: Ground, told: Told) -> Source:
        """Return it as a source. Raises OSError."""
        if self.kind == PAPER:
            return PaperSource(self.path, ground, told)
        return FileSource(self.kind, self.path, fingerprint(self.path), _READERS[self.kind], ground, told)


def find(kind: str, path: Path) -> FoundFile:
    """Return the source of a kind at a path: the file itself, or the folder that has it. Raises NoSourceError."""
    if not path.exists():
        raise NoSourceError(f"{path}: is not there; give the file, or the folder that has it")
    found = _paper(path) if kind == PAPER else _live(kind, path)
    if found is None:
        wanted = f"none of {', '.join(FILES)}" if kind == PAPER else f"no {LIVE_FILES[kind]}"
        raise NoSourceError(f"{path}: has {wanted}; give the file, or the folder that has it")
    return found


def find_all(path: Path) -> Sequence[FoundFile]:
    """Return every source below a folder, in the order to bring them in. Raises NoSourceError when there is none."""
    if not path.is_dir():
        raise NoSourceError(f"{path}: is no folder; give the one that has data/ or paper_trading/")
    live = [found for kind in LIVE_FILES if (found := _live(kind, path)) is not None]
    paper = _paper(path)
    sources = [*live, *([paper] if paper is not None else [])]
    if not sources:
        names = ", ".join([*LIVE_FILES.values(), "paper_trading/unified_service"])
        raise NoSourceError(f"{path}: has none of {names}, there or in data/")
    return sources


def old_config(path: Path) -> Mapping[str, Any]:
    """Return what the paper service's configuration below a folder says; nothing when there is none.

    Raises BrokenFileError, OSError.
    """
    found = _paper(path) if path.is_dir() else None
    file = found.path / CONFIG if found is not None else path.parent / CONFIG
    return {item.section: item.value for item in read_items(file) if item.index is None} if file.exists() else {}


def _live(kind: str, path: Path) -> FoundFile | None:
    if path.is_file():
        return FoundFile(kind, path)
    return next((FoundFile(kind, file) for file in _places(path, _LIVE_FOLDERS, LIVE_FILES[kind])), None)


def _paper(path: Path) -> FoundFile | None:
    folder = path if path.is_dir() else path.parent
    names = [name for name in FILES if name != CONFIG]
    there = (file.parent for name in names for file in _places(folder, _PAPER_FOLDERS, name))
    return next((FoundFile(PAPER, one) for one in there), None)


def _places(path: Path, folders: Sequence[str], name: str) -> Iterator[Path]:
    return (file for folder in folders if (file := path / folder / name).is_file())
