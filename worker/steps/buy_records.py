"""What a decision to buy leaves behind: orders, the journal, marks on the user's signals and a word to the user."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from db.notifications import Notice
from db.orders import OrderRow
from trading.orders import FailureKind, OrderState, intent_key, order_tag
from trading.risk import ENTRY_LEG, Approved, DenyCode, Refused
from trading.strategies.base import Rejection
from trading.values import Symbol
from worker.steps.buy_case import Case

Verdict = Approved | Refused | Rejection

# What booking, retries and people need of the facts once the order stands by itself.
_KEPT_FACTS = ("rsi", "ema9", "close", "verdict", "combined_score", "plan", "cycle", "level")


def code_of(verdict: Verdict) -> str | None:
    """Return why a candidate is not bought, None if it is."""
    return None if isinstance(verdict, Approved) else str(verdict.code)


def journal_rows(case: Case, verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """Return a row of the journal for every candidate and every re-entry that was looked at."""
    return [_journal_row(case, verdict) for verdict in verdicts]


def order_rows(case: Case, verdicts: Sequence[Verdict], now: datetime) -> list[dict[str, object]]:
    """Return the orders to plan, and as failed those that only money stopped: they are tried again."""
    short = [one for one in verdicts if isinstance(one, Refused) and one.code is DenyCode.FUNDS]
    approved = [one for one in verdicts if isinstance(one, Approved)]
    return [*(_planned(case, one) for one in approved), *(_failed(case, one, now) for one in short)]


def signal_marks(orders: Sequence[OrderRow]) -> dict[Symbol, str]:
    """Return what became of the user's signals: an order, or one that money stopped."""
    first = [order for order in orders if order.leg == ENTRY_LEG]
    return {Symbol(order.symbol): "failed" if order.status == OrderState.FAILED else "traded" for order in first}


def shortfall_notices(case: Case, failed: Sequence[OrderRow]) -> list[Notice]:
    """Return one digest of all orders that money stopped, if there are any."""
    if not failed:
        return []
    named = ", ".join(f"{order.symbol} ({order.reason})" for order in failed)
    return [
        Notice(
            user_id=case.account.user_id,
            event="balance_shortfall",
            level="warning",
            title=f"Not enough money for {len(failed)} order{'s' if len(failed) > 1 else ''}",
            message=f"For the session of {case.target.day} these buys wait for money: {named}. "
            "They are tried once more before it opens."[:1024],
            dedupe_key=f"balance_shortfall:{case.account.id}:{case.day}",
        )
    ]


def _journal_row(case: Case, verdict: Verdict) -> dict[str, object]:
    subject = verdict if isinstance(verdict, Rejection) else verdict.intent
    symbol, leg = subject.symbol, subject.leg
    version, confidence = _judged(case, symbol, leg)
    return {
        "user_id": case.account.user_id,
        "account_id": case.account.id,
        "execution_id": case.execution.id,
        "task_name": case.execution.task_name,
        "day": case.day,
        "symbol": symbol,
        "leg": leg,
        "verdict": "approved" if isinstance(verdict, Approved) else "refused",
        "code": code_of(verdict),
        "facts": _facts(verdict),
        "config_version": case.config.version,
        "model_version": version,
        "confidence": confidence,
    }


def _facts(verdict: Verdict) -> dict[str, object]:
    if isinstance(verdict, Rejection):
        return dict(verdict.facts)
    facts: Mapping[str, object] = verdict.facts if isinstance(verdict, Refused) else {"reserved": str(verdict.reserved)}
    return {**verdict.intent.facts, "rank": verdict.intent.rank, "quantity": verdict.intent.quantity, **facts}


def _judged(case: Case, symbol: Symbol, leg: str) -> tuple[str | None, float | None]:
    """Return the model version and confidence that had a say: none where none was asked, and none for re-entries."""
    if leg != ENTRY_LEG:
        return None, None
    found = next((one for one in case.candidates if one.symbol == symbol), None)
    return (None, None) if found is None else found.spoken(case.config.config)


def _planned(case: Case, approved: Approved) -> dict[str, object]:
    return _order(case, approved) | {"status": OrderState.PLANNED.value, "reserved": approved.reserved}


def _failed(case: Case, refused: Refused, now: datetime) -> dict[str, object]:
    """Return an order that waits for money until the close of the session it was meant for."""
    return _order(case, refused) | {
        "status": OrderState.FAILED.value,
        "failure_kind": FailureKind.INSUFFICIENT_FUNDS.value,
        "first_failed_at": now,
        "retry_until": case.target.closes,
        "reason": f"needs {refused.facts['needed']}, {refused.facts['available']} available",
    }


def _order(case: Case, verdict: Approved | Refused) -> dict[str, object]:
    intent, position = verdict.intent, case.positions.get(verdict.intent.symbol)
    key = intent_key(case.config.strategy, case.day, intent.symbol, intent.side, intent.leg)
    version, confidence = _judged(case, intent.symbol, intent.leg)
    return {
        "execution_id": case.execution.id,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "order_type": intent.order_type,
        "variety": intent.route.variety,
        "exchange": intent.route.exchange,
        "product": intent.route.product,
        "validity": intent.route.validity,
        "trade_mode": case.account.mode,
        "entry_type": "initial" if intent.leg == ENTRY_LEG else "reentry",
        "orig_source": "signal",
        "order_metadata": {name: intent.facts[name] for name in _KEPT_FACTS if name in intent.facts},
        "quantity": intent.quantity,
        "price": intent.limit_price,
        "intent_key": key,
        "tag": order_tag(case.account.code, key),
        "strategy": case.config.strategy,
        "leg": intent.leg,
        "rank": intent.rank,
        "reference_price": intent.reference_price,
        "reserved": 0,
        "failure_kind": None,
        "first_failed_at": None,
        "retry_until": None,
        "reason": None,
        "as_of": case.execution.as_of,
        "session_day": case.target.day,
        "position_id": None if position is None or intent.leg == ENTRY_LEG else position.id,
        "config_version": case.config.version,
        "model_version": version,
        "confidence": confidence,
    }
