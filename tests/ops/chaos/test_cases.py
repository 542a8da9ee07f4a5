"""Which cases there are, and which of them a pattern names."""

import pytest

from ops.chaos.cases import ALL_STATES, NoCaseError, chosen, every_case
from ops.chaos.faults import FAULTS


def test_every_fault_of_the_matrix_meets_every_state_once() -> None:
    pairs = [(case.fault, case.state) for case in every_case()]
    wanted = [(fault.name, state.name) for fault in FAULTS for state in ALL_STATES]
    assert len(wanted) == 12 * 6
    assert [pairs.count(pair) for pair in wanted] == [1] * len(wanted)


def test_no_two_cases_share_a_name_and_each_says_what_it_is() -> None:
    cases = every_case()
    assert len({case.name for case in cases}) == len(cases) > 85
    assert all(case.sentence for case in cases)


def test_a_pattern_names_cases_and_without_one_all_are_meant() -> None:
    assert [case.name for case in chosen(["storm", "term_group/r*"])] == [
        "term_group/running",
        "term_group/retry",
        "storm",
    ]
    assert len(chosen([])) == len(every_case())


def test_a_pattern_that_names_none_is_refused() -> None:
    with pytest.raises(NoCaseError, match="kill_nobody"):
        chosen(["storm", "kill_nobody/*"])
