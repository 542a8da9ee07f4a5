"""What can be brought in: a name, a fingerprint, and its records as entries."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ops.importers.entry import Entry
from ops.importers.orders import Ground

Told = Callable[[int], None]
"""Called with how much of a source was read, in bytes or records."""


class Source(Protocol):
    """One source of one account."""

    @property
    def kind(self) -> str:
        """What it is, as the command calls it."""

    @property
    def name(self) -> str:
        """Its name, without a path."""

    @property
    def sha256(self) -> str:
        """Tells whether two are the same."""

    def entries(self) -> Iterator[Entry]:
        """Yield its records, in the same order each time. Raises BrokenFileError after the last that can be read."""


class Found(Protocol):
    """A source that is there."""

    @property
    def kind(self) -> str:
        """What it is, as the command calls it."""

    @property
    def label(self) -> str:
        """Its name, for people."""

    @property
    def size(self) -> int:
        """How much there is to read, in what `Told` counts."""

    @property
    def unit(self) -> str:
        """What `Told` counts: bytes or records."""

    def open(self, ground: Ground, told: Told) -> Source:
        """Return it as a source. Raises OSError."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """One file and what reads it."""

    kind: str
    path: Path
    sha256: str
    read: Callable[[Path, Ground, Told], Iterator[Entry]]
    ground: Ground
    told: Told

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def entries(self) -> Iterator[Entry]:
        """Yield its records."""
        return self.read(self.path, self.ground, self.told)


def fingerprint(*paths: Path) -> str:
    """Return the SHA-256 of files, one after the other. Raises OSError."""
    if len(paths) == 1:
        with paths[0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256("".join(f"{path.name}:{fingerprint(path)};" for path in paths).encode()).hexdigest()
