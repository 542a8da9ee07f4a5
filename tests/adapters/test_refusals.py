"""A broker's words decide whether a refused purchase is tried again: only a want of money is."""

import pytest

from adapters.brokers.refusals import refusal_kind
from trading.orders import FailureKind

K = FailureKind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("insufficient funds: needs 2000.00, has 10.00", K.INSUFFICIENT_FUNDS),
        ("RMS: Margin Shortfall of Rs 1200", K.INSUFFICIENT_FUNDS),
        ("Insufficient holdings in demat", K.RMS_REJECT),
        ("Insufficient quantity to sell", K.RMS_REJECT),
        ("Price out of range. High Price Range: 110, Low Price Range: 90", K.CIRCUIT),
        ("scrip is in lower circuit", K.CIRCUIT),
        ("RMS:Blocked for T2T", K.RMS_REJECT),
        ("", K.RMS_REJECT),
    ],
)
def test_words_mean_want_of_money_only_where_they_say_so(words: str, kind: FailureKind) -> None:
    assert refusal_kind(words) is kind
