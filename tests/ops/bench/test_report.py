"""What a bench tells, and which side of a bar a figure is on."""

import json

import pytest

from ops.bench.report import at_least, at_most, machine, measured, middle


def test_a_bar_holds_at_its_limit_and_on_its_own_side_alone() -> None:
    assert [at_least(5).holds(value) for value in (4.9, 5, 6)] == [False, True, True]
    assert [at_most(5).holds(value) for value in (4.9, 5, 6)] == [True, True, False]
    assert [str(at_least(5000)), str(at_most(0.5))] == [">= 5,000", "<= 0.5"]


def test_a_report_names_every_bar_with_its_figure_and_is_json() -> None:
    bars = {"rate": at_least(100), "rss_mb": at_most(300)}
    report = measured("some", {"rate": 99.0, "rss_mb": 12.0, "other": 1}, bars, {"postgres": "16.1"})
    assert report["holds"] is False
    assert report["bars"] == {
        "rate": {"value": 99.0, "bar": ">= 100", "holds": False},
        "rss_mb": {"value": 12.0, "bar": "<= 300", "holds": True},
    }
    assert json.loads(json.dumps(report)) == report
    assert {"cpu", "cores", "memory_mb", "kernel", "python"} == machine().keys()


def test_a_bar_without_a_figure_is_an_error() -> None:
    with pytest.raises(KeyError):
        measured("some", {}, {"rate": at_least(100)}, {})


def test_of_several_rounds_the_middle_counts() -> None:
    assert middle([{"rate": 1.0}, {"rate": 9.0}, {"rate": 2.0}]) == {"rate": 2.0}
