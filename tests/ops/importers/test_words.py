"""The old system's words: each one that is known means one thing, and any other is told, never guessed."""

import pytest

from ops.importers import words
from ops.importers.fields import RefusedRecordError
from ops.importers.words import FINAL_STATES, ORDER_WORDS, Told
from trading.orders import OrderState
from trading.values import Side

# As the domain notes have them: of the files, of the broker in use then, and of three generations of the database.
_FILES = ["PENDING", "OPEN", "EXECUTED", "COMPLETE", "CANCELLED", "REJECTED", "PARTIALLY_FILLED", "TRIGGER_PENDING"]
_BROKER = {
    Told.FILLED: ("complete", "completed", "traded", "executed", "filled"),
    Told.REJECTED: ("rejected",),
    Told.CANCELLED: ("cancelled", "canceled", "cancelled after market order"),
    Told.WAITING: (
        "open", "pending", "trigger pending", "open pending", "validation pending", "put order req received",
        "after market order req received", "amo req received", "modify pending", "modify validation pending",
        "cancel pending", "cancel validation pending",
    ),
    Told.PARTIAL: ("partial fill", "partially filled", "partially executed"),
}  # fmt: skip


@pytest.mark.parametrize("word", _FILES)
def test_every_status_word_of_the_files_is_known(word: str) -> None:
    assert words.order_word(word) in Told


@pytest.mark.parametrize(("told", "word"), [(told, word) for told, known in _BROKER.items() for word in known])
def test_every_status_word_of_the_broker_means_what_the_broker_meant(told: Told, word: str) -> None:
    assert words.order_word(word) is told
    assert words.order_word(f" {word.upper()} ") is told


def test_what_ended_an_order_has_a_final_state_of_ours() -> None:
    assert {
        told: FINAL_STATES[told] for told in (Told.FILLED, Told.CANCELLED, Told.REJECTED)
    } == {Told.FILLED: OrderState.FILLED, Told.CANCELLED: OrderState.CANCELLED, Told.REJECTED: OrderState.REJECTED}  # fmt: skip
    assert all(word == word.strip().lower() for word in ORDER_WORDS)


@pytest.mark.parametrize(
    "word", ["WAITING_FOR_RAIN", "executed?", "", "complete!", None, 5, True, ["open"], "pending open"]
)
def test_an_unknown_status_word_stays_unmapped(word: object) -> None:
    with pytest.raises(RefusedRecordError, match="a word that nobody mapped") as refused:
        words.order_word(word)
    assert refused.value.kind == words.UNMAPPED
    assert repr(word) in refused.value.reason


@pytest.mark.parametrize(
    ("word", "side"), [("BUY", Side.BUY), ("b", Side.BUY), ("SELL", Side.SELL), ("S", Side.SELL), (" Sell ", Side.SELL)]
)
def test_both_ways_to_write_a_side_are_known(word: str, side: Side) -> None:
    assert words.side(word) is side


@pytest.mark.parametrize(
    ("word", "kind"), [("MKT", "market"), ("MARKET", "market"), ("L", "limit"), ("limit", "limit")]
)
def test_both_ways_to_write_an_order_type_are_known(word: str, kind: str) -> None:
    assert words.order_type(word) == kind


@pytest.mark.parametrize(("word", "kind"), [("AMO", "amo"), ("REGULAR", "regular"), ("normal", "regular")])
def test_every_variety_is_known(word: str, kind: str) -> None:
    assert words.variety(word) == kind


@pytest.mark.parametrize(("word", "is_open"), [("open", True), ("ONGOING", True), ("closed", False)])
def test_every_status_of_a_trade_is_known(word: str, is_open: bool) -> None:
    assert words.is_open_trade(word) is is_open


@pytest.mark.parametrize(
    "read", [words.side, words.order_type, words.variety, words.is_open_trade], ids=lambda read: read.__name__
)
def test_no_word_of_any_field_is_guessed(read: object) -> None:
    assert callable(read)
    with pytest.raises(RefusedRecordError) as refused:
        read("sideways")
    assert refused.value.kind == words.UNMAPPED
