"""The predecessor's own database as sources: one a user, read share by share from one read-only snapshot."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from ops.importers.database_address import Address, address_of
from ops.importers.database_reading import opened
from ops.importers.database_rows import packs, shares_of, state_of
from ops.importers.database_schema import Schema, detect
from ops.importers.database_shares import share_entries
from ops.importers.database_users import SourceUser, chosen, users_of
from ops.importers.entry import Entry
from ops.importers.errors import BrokenFileError
from ops.importers.orders import Ground
from ops.importers.source import Source, Told

KIND = "database"


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user of a database that is there. state: a hash of how the rows stood when they were looked at."""

    address: Address
    user: SourceUser
    state: str
    kind: str = KIND
    unit: str = "records"

    @property
    def label(self) -> str:
        """The database's name and whose rows, for people."""
        return f"{self.address.name} ({self.user.email})"

    @property
    def size(self) -> int:
        """Its records."""
        return self.user.records

    def open(self, ground: Ground, told: Told) -> Source:
        """Return it as a source."""
        return DatabaseSource(self, ground, told)


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    """One user's orders, fills and positions."""

    found: FoundUser
    ground: Ground
    told: Told
    kind: str = KIND

    @property
    def name(self) -> str:
        """The database's name and whose rows."""
        return self.found.label[:255]

    @property
    def sha256(self) -> str:
        """The same for the same rows at the same address."""
        told = f"{self.found.address.shown}|{self.found.user.email}|{self.found.state}"
        return hashlib.sha256(told.encode()).hexdigest()

    def entries(self) -> Iterator[Entry]:
        """Yield an entry for every position and order, share by share.

        Raises BrokenFileError when it is no more what was looked at, NoSourceError when it cannot be read on.
        """
        user = self.found.user.id
        with opened(self.found.address) as reading:
            schema = reading.run(lambda connection: detect(connection, self.found.address.shown))
            if reading.run(lambda connection: state_of(connection, schema, user)) != self.found.state:
                cure = "changed after it was looked at; stop the old service, then import again"
                raise BrokenFileError(Path(self.found.address.name), 0, cure)
            seen: dict[str, str] = {}
            done = 0
            for symbols in reading.run(lambda connection: packs(connection, schema, user)):
                for share in reading.run(partial(shares_of, schema=schema, user_id=user, symbols=symbols)):
                    yield from share_entries(share, self.ground, seen)
                    done += len(share.orders) + len(share.positions)
                    self.told(done)


def find_users(url: str, source_user: str | None, *, single: bool) -> list[FoundUser]:
    """Return the users of a database that are to be brought in. single: there is one user to bring them to.

    Connects to it: call it in a thread. Raises NoSourceError.
    """
    address = address_of(url)
    with opened(address) as reading:
        schema = reading.run(lambda connection: detect(connection, address.shown))
        users = chosen(
            reading.run(lambda connection: users_of(connection, schema)), source_user, address.shown, single=single
        )
        return reading.run(lambda connection: _found(connection, schema, address, users))


def _found(connection: Connection, schema: Schema, address: Address, users: Sequence[SourceUser]) -> list[FoundUser]:
    return [FoundUser(address, user, state_of(connection, schema, user.id)) for user in users]
