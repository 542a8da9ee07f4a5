"""What is no database of the predecessor's, or cannot be reached, is refused in words, without a password."""

import asyncio
from pathlib import Path

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from ops.importers.database_address import address_of
from ops.importers.errors import NoSourceError
from ops.importers.legacy_database import find_users
from tests.ops.importers.old_databases import ERA_A, bring, sqlite_database


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"cats": "id name"}, "it lacks the table users, the table orders; it has cats"),
        ({"users": "id email", "orders": "id user_id"}, "the column orders.symbol"),
        ({**ERA_A, "fills": "id order_id price"}, "the column fills.quantity"),
    ],
)
def test_a_database_of_something_else_is_refused_by_what_it_lacks(
    tmp_path: Path, schema: dict[str, str], said: str
) -> None:
    old = sqlite_database(tmp_path / "other.db", schema, {})
    with pytest.raises(NoSourceError, match=said):
        find_users(str(old), None, single=False)


async def test_our_own_database_is_no_source(database: Database, urls: ServerUrls) -> None:
    with pytest.raises(NoSourceError, match="Muhurat's own"):
        await bring(database, urls.database)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///nowhere/old.db", "is not there"),
        ("nowhere.sqlite", "is not there"),
        ("mysql://asha:secret-word@host/old", "mysql is no database of the predecessor's"),
        ("postgresql://asha:secret-word@host", "name the database after the host"),
        ("postgresql://asha@host/old?password=secret-word", "take out the option password"),
        ("postgresql://asha:secret-word@host:port/old", "cannot be read as an address"),
    ],
)
def test_an_address_that_cannot_be_used_says_so_without_a_password(url: str, said: str) -> None:
    with pytest.raises(NoSourceError, match=said) as caught:
        address_of(url)
    assert "secret-word" not in str(caught.value)


def test_a_file_that_is_no_database_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "trades.json").write_text("[]")
    with pytest.raises(NoSourceError, match="is no SQLite database"):
        address_of(str(tmp_path / "trades.json"))
    with pytest.raises(NoSourceError, match="is no file"):
        address_of(str(tmp_path))


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    url = "postgres://asha:secret-word@127.0.0.1:9/old"
    with pytest.raises(NoSourceError, match=r"asha:\*\*\*@127\.0\.0\.1:9/old: cannot be read.*check host") as caught:
        await asyncio.to_thread(find_users, url, None, single=False)
    assert "secret-word" not in repr(caught.value)


def test_an_address_shows_no_password() -> None:
    assert "secret-word" not in repr(address_of("postgresql+psycopg2://asha:secret-word@host:5432/old"))
