"""What a run tells: sums, the longest, and which cases failed."""

import json

from ops.chaos.play import Result
from ops.chaos.promises import PROMISES, Held
from ops.chaos.report import told


def result(case: str, *, struck: bool = True, retries: int = 0, latest_s: float = 0.0, broken: bool = False) -> Result:
    held = Held({"retries": retries, "latest_s": latest_s}, ["too late"] if broken else [])
    return Result(
        case, case.partition("/")[0], "running", executions=60, in_state=8, faults=int(struck), struck=struck,
        promises={"retries_on_time": held}, violations=list(held.violations),
    )  # fmt: skip


def test_counts_are_added_and_of_seconds_the_longest_is_told() -> None:
    report = told([result("a/x", retries=3, latest_s=2.0), result("b/x", retries=4, latest_s=1.0)], 7, 9.0, {})
    assert report["promises"]["retries_on_time"]["counted"] == {"retries": 7, "latest_s": 2.0}
    assert (report["holds"], report["totals"]["executions"], report["totals"]["faults"]) == (True, 120, 2)
    assert report["promises"].keys() == {one.name for one in PROMISES}
    assert json.loads(json.dumps(report)) == report


def test_a_fault_that_did_not_strike_fails_its_case() -> None:
    report = told([result("a/x"), result("b/x", struck=False)], 7, 9.0, {})
    assert (report["holds"], report["totals"]["failed_cases"]) == (False, ["b/x"])


def test_a_broken_promise_fails_its_case() -> None:
    report = told([result("a/x", broken=True), result("b/x")], 7, 9.0, {})
    assert (report["holds"], report["totals"]["failed_cases"], report["totals"]["violations"]) == (False, ["a/x"], 1)
    assert report["promises"]["retries_on_time"]["violations"] == 1
