"""Users and accounts: each switch is thrown by somebody, and the record says by whom."""

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import person, scalar


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


_AUDIT = "SELECT string_agg(concat_ws(' ', actor, action, resource_type), ', ' ORDER BY id) FROM audit_logs"


async def test_a_user_is_signed_up_started_and_stopped_by_name(database: Database, muhurat: Commands) -> None:
    made = await muhurat.json("users", "add", "Chitra@example.org", "--as", "ravi")
    assert made["email"] == "chitra@example.org"
    assert (await muhurat.json("users", "start", "chitra@example.org", "--as", "ravi"))["service_running"] is True
    assert await scalar(database, "SELECT service_running FROM service_status") is True
    await muhurat("users", "stop", str(made["user_id"]), "--as", "ravi")
    assert await scalar(database, "SELECT service_running FROM service_status") is False
    assert await scalar(database, _AUDIT) == "ravi create user, ravi start service, ravi stop service"
    assert "chitra@example.org" in await muhurat("users")


async def test_one_address_is_one_user(database: Database, muhurat: Commands) -> None:
    await person(database)
    assert "'asha@example.org' is taken" in await muhurat("users", "add", "ASHA@example.org", "--as", "ravi", code=2)
    assert await scalar(database, "SELECT count(*) FROM users") == 1


@pytest.mark.parametrize(
    "address", ["a b@", "asha", "@example.org", "asha@", "as ha@example.org", "a@b@c", "a" * 251 + "@b.in"]
)
async def test_what_no_mail_can_be_sent_to_is_refused_as_that(
    database: Database, muhurat: Commands, address: str
) -> None:
    assert "is no e-mail address: write it like" in await muhurat("users", "add", address, "--as", "ravi", code=2)
    assert await scalar(database, "SELECT count(*) FROM users") == 0


async def test_an_account_is_blocked_and_unblocked_by_name(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    await muhurat("accounts", "block", str(asha.account_id), "--as", "ravi")
    assert (await muhurat.json("accounts"))["accounts"][0]["status"] == "blocked"
    await muhurat("accounts", "unblock", str(asha.account_id), "--as", "ravi")
    assert await scalar(database, "SELECT status FROM broker_accounts") == "active"
    assert await scalar(database, _AUDIT) == "ravi update account, ravi update account"


async def test_nothing_changes_without_a_name(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    said = await muhurat("accounts", "block", str(asha.account_id), code=2)
    assert "MUHURAT_OPERATOR is not set" in said
    assert await scalar(database, "SELECT status FROM broker_accounts") == "active"
    muhurat.patch.setenv("MUHURAT_OPERATOR", "ravi")
    await muhurat("accounts", "block", str(asha.account_id))
    assert await scalar(database, "SELECT actor FROM audit_logs") == "ravi"


async def test_an_account_that_is_not_there_is_one_line(database: Database, muhurat: Commands) -> None:
    assert "no account 99" in await muhurat("accounts", "block", "99", "--as", "ravi", code=2)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("accounts", "block", "99999999999999999999", "--as", "ravi"), "'ACCOUNT'"),
        (("accounts", "unblock", "0", "--as", "ravi"), "'ACCOUNT'"),
        (("users", "--after", "99999999999999999999"), "'--after'"),
    ],
)
async def test_a_number_that_no_row_can_have_is_bad_input(
    database: Database, muhurat: Commands, words: tuple[str, ...], option: str
) -> None:
    said = await muhurat(*words, code=2)
    assert option in said
    assert "Input should be" in said
