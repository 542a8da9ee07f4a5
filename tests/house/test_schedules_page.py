"""The page on schedules: what it shows can be said, what it calls wrong is refused, its commands and files are there."""

import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from ops.cli.app import app
from trading.definitions import CATCH_UPS, CONDITIONS, OVERLAPS
from trading.errors import BadTrigger
from trading.trigger_texts import Trigger
from trading.triggers import parse_trigger

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ops" / "schedules.md").read_text(encoding="utf-8")


def _lines(kind: str) -> list[str]:
    return [
        line
        for block in re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


@pytest.mark.parametrize("text", _lines("triggers"))
def test_a_trigger_of_the_page_is_read_and_written_as_it_stands_there(text: str) -> None:
    assert str(parse_trigger(text)) == text


def test_the_page_shows_every_kind_of_trigger() -> None:
    assert {type(parse_trigger(text)) for text in _lines("triggers")} == set(get_args(Trigger))


@pytest.mark.parametrize("text", _lines("refused"))
def test_a_trigger_that_the_page_calls_wrong_is_refused(text: str) -> None:
    with pytest.raises(BadTrigger, match="write it like"):
        parse_trigger(text)


@pytest.mark.parametrize("line", _lines("sh"))
def test_a_command_of_the_page_can_be_given(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name, *words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    context = command.make_context(name, list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert name == "muhurat"
    # What cannot be parsed raises; nothing is run.
    command.make_context(command.name, words, parent=context)


def test_every_choice_of_a_policy_stands_on_the_page() -> None:
    assert [word for word in (*CATCH_UPS, *OVERLAPS, *CONDITIONS) if f"`{word}`" not in PAGE] == []


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:trading|scheduler|db)/[\w/]+\.\w+)`", PAGE))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
