"""A database that cannot be used is named with its cure, and never quietly used."""

import re

import pytest

from config.servers import ServerUrls
from db.engine import DatabaseError, check_database, check_role, make_engine
from db.errors import is_temporary
from db.transaction import Database
from migrations.run import head
from tests.people import scalar


async def refusal(url: str, revision: str) -> str:
    engine = make_engine(url, pool_size=1)
    try:
        with pytest.raises(DatabaseError) as refused:
            await check_database(engine, revision)
    finally:
        await engine.dispose()
    return str(refused.value)


async def test_a_database_that_is_not_there_is_named_with_where_it_was_looked_for(urls: ServerUrls) -> None:
    nowhere = "postgresql+asyncpg://muhurat:secret@127.0.0.1:1/muhurat"
    said = await refusal(nowhere, head())
    assert "127.0.0.1:1" in said
    assert "DATABASE_URL" in said
    assert "secret" not in said
    assert "no_such" in await refusal(urls.sqlalchemy.replace("/muhurat?", "/no_such?"), head())


async def test_a_schema_behind_the_code_is_refused_with_the_command_that_mends_it(urls: ServerUrls) -> None:
    assert "run 'muhurat migrate'" in await refusal(urls.sqlalchemy, "a_later_revision")


async def test_a_role_that_sees_through_row_security_is_refused(urls: ServerUrls) -> None:
    as_superuser = re.sub(r"//[^@/]*@", "//postgres@", urls.sqlalchemy)
    assert "bypasses row security" in await refusal(as_superuser, head())


async def test_the_role_of_the_platform_is_accepted(urls: ServerUrls) -> None:
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    await check_role(engine)
    await check_database(engine, head())
    await engine.dispose()


async def test_no_statement_is_compiled_whatever_the_server_does_by_itself(database: Database) -> None:
    said = "SELECT setting || ' by the ' || source FROM pg_settings WHERE name = 'jit'"
    assert await scalar(database, said) == "off by the client"


def test_what_passes_by_itself_is_told_from_what_does_not() -> None:
    assert is_temporary(ConnectionResetError())
    assert is_temporary(TimeoutError())
    assert not is_temporary(ValueError("bad data"))
