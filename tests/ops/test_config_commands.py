"""`muhurat config`: shown with what is reserved, changed by somebody, and never by halves."""

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import person, scalar

ASHA = ("--user", "asha@example.org")


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def test_fields_are_set_cleared_compared_and_put_back(database: Database, muhurat: Commands) -> None:
    await person(database)
    await muhurat("config", "set", "rsi_oversold=28", "default_stop_loss_pct=0.08", *ASHA, "--as", "ravi")
    assert await muhurat.json("config", "diff", *ASHA) == {
        "rsi_oversold": [30.0, 28.0],
        "default_stop_loss_pct": [None, 0.08],
    }
    await muhurat("config", "set", "default_stop_loss_pct=off", *ASHA, "--as", "ravi")
    await muhurat("config", "preset", "conservative", *ASHA, "--as", "ravi")
    shown = await muhurat.json("config", "show", *ASHA)
    assert (shown["version"], shown["config"]["max_portfolio_size"], shown["config"]["default_stop_loss_pct"]) == (
        4,
        4,
        None,
    )
    assert (await muhurat.json("config", "reset", *ASHA, "--as", "ravi"))["version"] == 5
    made = (await muhurat.json("config", "versions", *ASHA))["versions"]
    assert [(one["version"], one["changed_by"]) for one in made] == [
        (5, "ravi"), (4, "ravi"), (3, "ravi"), (2, "ravi"), (1, "sign-up"),
    ]  # fmt: skip
    assert (await muhurat.json("config", "diff", *ASHA, "--from", "1", "--to", "2"))["rsi_oversold"] == [30.0, 28.0]


async def test_what_is_reserved_says_so(database: Database, muhurat: Commands) -> None:
    await person(database)
    shown = await muhurat("config", "show", *ASHA)
    assert shown.count("reserved: nothing reads news yet") == 5


async def test_a_version_is_shown_as_it_was_with_the_default_beside_what_differs(
    database: Database, muhurat: Commands
) -> None:
    await person(database)
    await muhurat("config", "set", "rsi_oversold=28", *ASHA, "--as", "ravi")
    await muhurat("config", "set", "rsi_oversold=26", *ASHA, "--as", "ravi")
    assert (await muhurat.json("config", "show", *ASHA, "--version", "2"))["config"]["rsi_oversold"] == 28.0
    [line] = [one for one in (await muhurat("config", "show", *ASHA)).splitlines() if " rsi_oversold " in one]
    assert ("26.0" in line, "30.0" in line) == (True, True)
    said = await muhurat("config", "show", *ASHA, "--version", "9", code=2)
    assert "version = 9" in said


async def test_a_change_needs_somebody_who_makes_it(database: Database, muhurat: Commands) -> None:
    await person(database)
    assert "--as" in await muhurat("config", "reset", *ASHA, code=2)
    assert "e-mail" in await muhurat("config", "reset", "--user", "nobody@example.org", "--as", "ravi", code=2)


async def test_one_bad_field_leaves_all_as_they_were(database: Database, muhurat: Commands) -> None:
    await person(database)
    said = await muhurat("config", "set", "rsi_period=14", "rsi_oversold=60", *ASHA, "--as", "ravi", code=2)
    assert "rsi_oversold = 60" in said
    assert await scalar(database, "SELECT rsi_period FROM user_trading_config") == 10
    assert "FIELD=VALUE" in await muhurat("config", "set", "rsi_period", *ASHA, "--as", "ravi", code=2)


async def test_tasks_are_switched_for_one_user(database: Database, muhurat: Commands) -> None:
    await person(database)
    await muhurat("config", "set", 'task_schedule={"buy_orders": false}', *ASHA, "--as", "ravi")
    assert (await muhurat.json("config", "show", *ASHA))["task_schedule"]["buy_orders"] is False
    assert "buy_orders OFF" in await muhurat("config", "show", *ASHA)


async def test_the_difference_from_the_defaults_has_the_tasks_that_are_off(
    database: Database, muhurat: Commands
) -> None:
    await person(database)
    await muhurat("config", "set", "rsi_oversold=28", 'task_schedule={"buy_orders": false}', *ASHA, "--as", "ravi")
    assert await muhurat.json("config", "diff", *ASHA) == {
        "rsi_oversold": [30.0, 28.0],
        "task_schedule": [{"buy_orders": True}, {"buy_orders": False}],
    }
    assert "task_schedule" in await muhurat("config", "diff", *ASHA)
    assert await muhurat.json("config", "diff", *ASHA, "--from", "1", "--to", "2") == {"rsi_oversold": [30.0, 28.0]}
    assert "no part of a version" in await muhurat("config", "diff", *ASHA, "--from", "1")


@pytest.mark.parametrize(
    ("words", "option"),
    [(("show", "--version"), "'--version'"), (("diff", "--from"), "'--from'"), (("diff", "--to"), "'--to'")],
)
async def test_a_version_that_no_row_can_have_is_bad_input(
    database: Database, muhurat: Commands, words: tuple[str, str], option: str
) -> None:
    await person(database)
    said = await muhurat("config", *words, "9999999999", *ASHA, code=2)
    assert option in said
