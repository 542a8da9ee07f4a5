"""`muhurat chaos` as people use it, without a fault: the names of its cases, and what it refuses."""

import json

import pytest

from ops.chaos.cases import every_case
from ops.cli import run


def test_its_cases_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chaos", "--list", "--json"]) == 0
    assert [one["case"] for one in json.loads(capsys.readouterr().out)["cases"]] == [case.name for case in every_case()]


def test_a_case_that_is_none_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chaos", "--only", "kill_nobody/*"]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n"), "kill_nobody/*" in said) == (1, True)
