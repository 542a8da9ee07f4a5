"""What an execution shall do, written into its subject and read out of it."""

import pytest

from ops.chaos.plans import ENDS, OK, TASKS_USED, Plan, is_of_an_order, plan_of
from worker.messages import TASKS


@pytest.mark.parametrize("word", ENDS)
def test_a_subject_says_the_plan_it_was_made_of(word: str) -> None:
    assert plan_of(Plan(17, word).subject) == Plan(17, word)


@pytest.mark.parametrize("subject", ["", "again:3", "chaos:x:ok", "chaos:1:nothing", "chaos:1"])
def test_any_other_subject_ends_well(subject: str) -> None:
    assert plan_of(subject).word == OK


@pytest.mark.parametrize(
    ("subject", "is_one"), [("10:1", True), ("10:1:2", True), ("chaos:1:ok", False), ("again:1", False), ("7", False)]
)
def test_work_for_an_order_is_known_by_its_subject(subject: str, is_one: bool) -> None:
    assert is_of_an_order(subject) == is_one


def test_the_tasks_used_are_of_the_queues_they_are_said_to_be() -> None:
    assert {name: TASKS[name].queue for name in TASKS_USED} == TASKS_USED
