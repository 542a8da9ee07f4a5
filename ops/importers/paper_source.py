"""A folder of paper trading files as one source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.importers.entry import Entry
from ops.importers.orders import Ground
from ops.importers.paper_files import FILES, HOLDINGS, KIND, PaperFiles
from ops.importers.source import Told, fingerprint
from ops.importers.stream import Item, read_items


@dataclass(slots=True)
class PaperSource:
    """A folder of paper trading files, brought in together: a position needs all of its fills."""

    folder: Path
    ground: Ground
    told: Told
    kind: str = KIND
    sha256: str = ""

    def __post_init__(self) -> None:
        self.sha256 = self.sha256 or fingerprint(*self._there())

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(path.stat().st_size for path in self._there())

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of every record, position by position. Raises BrokenFileError after the last."""
        tells_holdings = (self.folder / HOLDINGS).exists()
        return PaperFiles(self.read, self.ground, tells_holdings=tells_holdings).entries()

    def read(self, name: str) -> Iterator[Item]:
        """Yield the records of one of the files; one that is not there has none."""
        path = self.folder / name
        if path.exists():
            before = sum(
                (self.folder / one).stat().st_size for one in FILES[: FILES.index(name)] if (self.folder / one).exists()
            )
            yield from read_items(path, lambda done: self.told(before + done))

    def _there(self) -> list[Path]:
        return [path for name in FILES if (path := self.folder / name).exists()]
