import itertools
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import IllegalTransition
from trading.orders import (
    FINAL,
    LIVE,
    TAG_LENGTH,
    TRANSITIONS,
    FailureKind,
    OrderEvent,
    OrderState,
    advance,
    failed_or_rejected,
    intent_key,
    is_final,
    is_live,
    order_tag,
    reported,
    retry_key,
)
from trading.values import Side, Symbol

S, E = OrderState, OrderEvent
INFY = Symbol("INFY")

PATHS = [
    ([E.DENY], S.DENIED),
    ([E.SEND, E.ACCEPT, E.RELEASE, E.FILL_PART, E.FILL], S.FILLED),
    ([E.SEND, E.NOT_SENT, E.SEND, E.ACCEPT, E.REJECT], S.REJECTED),
    ([E.SEND, E.REJECT], S.REJECTED),
    ([E.SEND, E.FAIL, E.GIVE_UP], S.CANCELLED),
    ([E.SEND, E.ACCEPT, E.FAIL, E.ACCEPT], S.FAILED),
    ([E.SEND, E.LOSE_SIGHT, E.MISS], S.NOT_PLACED),
    ([E.SEND, E.LOSE_SIGHT, E.REPEAT, E.SEND, E.ACCEPT], S.ACKED),
    ([E.SEND, E.ACCEPT, E.RELEASE, E.CANCEL, E.CONFIRM_CANCEL], S.CANCELLED),
    ([E.SEND, E.ACCEPT, E.RELEASE, E.CANCEL, E.FILL_PART, E.FILL], S.FILLED),
    ([E.SEND, E.ACCEPT, E.RELEASE, E.FILL_PART, E.EXPIRE], S.EXPIRED),
    ([E.SEND, E.ACCEPT, E.RELEASE, E.CANCEL, E.CONFIRM_CANCEL, E.FILL], S.CANCELLED),
]


@pytest.mark.parametrize(("events", "end"), PATHS)
def test_an_order_lives_by_the_table(events: list[OrderEvent], end: OrderState) -> None:
    state = S.PLANNED
    for event in events:
        state = advance(state, event)
    assert state is end


FORBIDDEN = [
    (S.UNKNOWN, E.SEND), (S.UNKNOWN, E.NOT_SENT), (S.SENDING, E.SEND), (S.SENDING, E.MISS), (S.OPEN, E.NOT_SENT),
    (S.FILLED, E.SEND), (S.NOT_PLACED, E.SEND), (S.DENIED, E.SEND), (S.CANCELLED, E.CANCEL), (S.SENDING, E.DENY),
    (S.SENDING, E.REPEAT), (S.ACKED, E.REPEAT), (S.NOT_PLACED, E.REPEAT),
]  # fmt: skip


@pytest.mark.parametrize(("state", "event"), FORBIDDEN)
def test_what_could_order_twice_is_not_in_the_table(state: OrderState, event: OrderEvent) -> None:
    with pytest.raises(IllegalTransition, match=state.value):
        advance(state, event)


def test_every_state_is_live_or_final_and_only_a_failed_one_waits_for_money() -> None:
    assert set(OrderState) == FINAL | LIVE | {S.FAILED}
    assert not FINAL & LIVE
    assert not is_final(S.FAILED)
    assert not is_live(S.FAILED)


def test_a_failed_order_is_never_sent_again_itself() -> None:
    assert {event for state, event in TRANSITIONS if state is S.FAILED and TRANSITIONS[state, event] is not state} == {
        E.GIVE_UP
    }


def test_a_final_state_stays_whatever_comes() -> None:
    assert all(to is state for (state, _), to in TRANSITIONS.items() if state in FINAL)


def test_every_live_state_can_reach_an_end() -> None:
    reach = {state: {to for (start, _), to in TRANSITIONS.items() if start is state} for state in OrderState}
    for state in LIVE:
        seen, todo = {state}, [state]
        while todo:
            fresh = reach[todo.pop()] - seen
            seen |= fresh
            todo += fresh
        assert seen & FINAL


REPORTS = [
    (S.ACKED, S.PARKED, 0, S.PARKED),
    (S.PARKED, S.OPEN, 0, S.OPEN),
    (S.PARKED, S.ACKED, 0, S.PARKED),
    (S.OPEN, S.OPEN, 4, S.PARTIAL),
    (S.OPEN, S.OPEN, 10, S.FILLED),
    (S.OPEN, S.FILLED, 4, S.PARTIAL),
    (S.OPEN, S.PARTIAL, 0, S.OPEN),
    (S.PARTIAL, S.CANCELLED, 4, S.CANCELLED),
    (S.CANCELLING, S.OPEN, 4, S.CANCELLING),
    (S.CANCELLING, S.CANCELLED, 10, S.FILLED),
    (S.UNKNOWN, S.PARKED, 0, S.PARKED),
    (S.UNKNOWN, S.FILLED, 10, S.FILLED),
    (S.SENDING, S.OPEN, 0, S.OPEN),
    (S.PLANNED, S.REJECTED, 0, S.REJECTED),
    (S.EXPIRED, S.OPEN, 0, S.EXPIRED),
    (S.FAILED, S.REJECTED, 0, S.FAILED),
]


@pytest.mark.parametrize(("state", "word", "filled", "after"), REPORTS)
def test_quantities_decide_over_the_brokers_word(
    state: OrderState, word: OrderState, filled: int, after: OrderState
) -> None:
    assert reported(state, word, filled, 10) is after


@pytest.mark.parametrize("word", [S.PLANNED, S.DENIED, S.SENDING, S.UNKNOWN, S.NOT_PLACED, S.CANCELLING])
def test_a_word_no_broker_can_say_is_refused(word: OrderState) -> None:
    with pytest.raises(ValueError, match="does not report"):
        reported(S.OPEN, word, 0, 10)


@pytest.mark.parametrize(("filled", "quantity"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_quantities_are_refused(filled: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        reported(S.OPEN, S.OPEN, filled, quantity)


def test_a_book_that_is_ahead_of_the_call_makes_its_answer_nothing_new() -> None:
    seen = reported(S.SENDING, S.OPEN, 3, 10)
    assert advance(seen, E.ACCEPT) is S.PARTIAL
    assert advance(seen, E.LOSE_SIGHT) is S.PARTIAL


PROGRESS = (S.PLANNED, S.SENDING, S.UNKNOWN, S.ACKED, S.PARKED, S.OPEN, S.PARTIAL, S.CANCELLING)
WORDS = [S.ACKED, S.PARKED, S.OPEN, S.PARTIAL, S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED]


@given(st.sampled_from(OrderState), st.sampled_from(WORDS), st.integers(0, 10))
def test_a_report_never_moves_an_order_backwards(state: OrderState, word: OrderState, filled: int) -> None:
    after = reported(state, word, filled, 10)
    if state not in LIVE:
        assert after is state
    elif after not in FINAL:
        assert PROGRESS.index(after) >= PROGRESS.index(state)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[OrderState, int]]:
    """Draw the book rows of one order: rising fills under live words, then at most one final row; some told again."""
    fills = sorted(draw(st.lists(st.integers(0, 9), max_size=5)))
    rows = [(draw(st.sampled_from([S.ACKED, S.PARKED, S.OPEN, S.PARTIAL])), filled) for filled in fills]
    last = fills[-1] if fills else 0
    end = draw(st.sampled_from([None, (S.FILLED, 10), (S.CANCELLED, last), (S.EXPIRED, last), (S.REJECTED, last)]))
    rows += [end] if end else []
    return rows + (draw(st.lists(st.sampled_from(rows), max_size=5)) if rows else [])


@given(stories(), st.randoms(use_true_random=False), st.sampled_from([S.SENDING, S.UNKNOWN, S.ACKED, S.CANCELLING]))
def test_any_order_and_repetition_of_book_rows_ends_alike(
    rows: list[tuple[OrderState, int]], random: Random, start: OrderState
) -> None:
    def fold(told: list[tuple[OrderState, int]]) -> OrderState:
        state = start
        for word, filled in told:
            state = reported(state, word, filled, 10)
        return state

    shuffled = rows[:]
    random.shuffle(shuffled)
    assert fold(rows) is fold(shuffled)


def test_an_intent_key_names_the_wish_of_a_day() -> None:
    key = intent_key("dip", date(2024, 11, 1), INFY, Side.BUY, "entry")
    assert key == "dip:2024-11-01:INFY:buy:entry"


@pytest.mark.parametrize(("strategy", "leg"), [("", "entry"), ("dip:2", "entry"), ("dip", "re:20"), ("dip", "")])
def test_an_intent_key_cannot_be_made_ambiguous(strategy: str, leg: str) -> None:
    with pytest.raises(ValueError, match="intent key"):
        intent_key(strategy, date(2024, 11, 1), INFY, Side.BUY, leg)


def test_a_tag_fits_the_broker_and_is_stable() -> None:
    tag = order_tag("paper-1", "dip:2024-11-01:INFY:buy:entry")
    assert tag == order_tag("paper-1", "dip:2024-11-01:INFY:buy:entry")
    assert len(tag) == TAG_LENGTH
    assert tag.isalnum()
    assert tag.isupper()


def test_tags_differ_by_account_and_by_intent() -> None:
    keys = [intent_key("dip", date(2024, 11, 1), INFY, side, leg) for side, leg in itertools.product(Side, ["a", "b"])]
    assert len({order_tag(account, key) for account in ("paper-1", "paper-2") for key in keys}) == 8


K = FailureKind


@pytest.mark.parametrize(
    ("side", "kind", "filled", "may_retry", "state"),
    [
        (Side.BUY, K.INSUFFICIENT_FUNDS, 0, True, S.FAILED),
        (Side.BUY, K.INSUFFICIENT_FUNDS, 0, False, S.REJECTED),
        (Side.BUY, K.INSUFFICIENT_FUNDS, 3, True, S.REJECTED),
        (Side.SELL, K.INSUFFICIENT_FUNDS, 0, True, S.REJECTED),
        *((Side.BUY, kind, 0, True, S.REJECTED) for kind in (K.RMS_REJECT, K.CIRCUIT, K.TRANSIENT, K.AMBIGUOUS, None)),
    ],
)
def test_only_a_purchase_there_was_no_money_for_is_tried_again(
    side: Side, kind: FailureKind | None, filled: int, may_retry: bool, state: OrderState
) -> None:
    assert failed_or_rejected(side, kind, filled, may_retry) is state


def test_each_try_has_a_key_and_a_tag_of_its_own() -> None:
    first = intent_key("dip", date(2024, 11, 1), INFY, Side.BUY, "entry")
    second = retry_key(first, 1)
    assert second == "dip:2024-11-01:INFY:buy:entry:r1"
    assert retry_key(second, 2) == "dip:2024-11-01:INFY:buy:entry:r2"
    assert len({order_tag("paper-1", key) for key in (first, second, retry_key(second, 2))}) == 3
