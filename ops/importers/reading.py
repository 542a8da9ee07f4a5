"""Reads a source in chunks, in a thread of its own while what was read before is stored."""

from collections.abc import Callable, Iterator
from itertools import islice

from db.import_rows import Rows
from db.import_values import Ids, Target
from db.imports import prepare
from ops.importers.entry import Entry
from ops.importers.errors import BrokenFileError
from ops.importers.source import Source
from ops.importers.store import Chunk, new_of, rows_of

# Large enough for one statement a table to be worth it, small enough to be parsed while the chunk before is stored. The
# first is small, so that the database need not wait for it long.
FIRST_CHUNK, CHUNK = 500, 4000


class Chunks:
    """The entries of a source, some at a time, prepared.

    broken: why they ended before the source did. spent: a chunk that was taken, to be freed by the next reading.
    """

    def __init__(self, source: Source, target: Target, new_ids: Callable[[Rows], Ids]) -> None:
        self._entries: Iterator[Entry] = source.entries()
        self._target, self._new_ids = target, new_ids
        self.broken: BrokenFileError | None = None
        self.spent: Chunk | None = None
        self._size = FIRST_CHUNK

    def take(self) -> Chunk:
        """Return the next entries, none at the end. Called in a thread, while the entries before are stored."""
        taken: list[Entry] = []
        try:
            taken.extend(islice(self._entries, self._size))
        except BrokenFileError as error:
            self.broken = error
        self._size = CHUNK
        chunk = Chunk(taken, new=len(new_of(taken)))
        if chunk.new:
            rows = rows_of(taken)
            chunk.prepared = prepare(rows, self._new_ids(rows), self._target)
        # Some hundred thousand objects are freed in one go, which nothing interrupts: now Postgres is storing for long.
        self.spent = None
        return chunk
