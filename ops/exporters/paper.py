"""One account's orders, trades, holdings and money as records of the paper trading files."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.exporters.orders import FILLED, old_record, told
from ops.exporters.writing import Record, number, number_or_none, stamp, stamp_or_none
from ops.importers.paper_files import KIND
from trading.config import DEFAULTS, TradingConfig
from trading.config_changes import difference

Row = Mapping[str, Any]

# What the predecessor needs beside what we know; as its own service wrote it.
_CONFIG: Mapping[str, Any] = {
    "enable_slippage": True,
    "slippage_percentage": 0.2,
    "execution_delay_ms": 100,
    "enable_fees": True,
    "enforce_market_hours": True,
    "storage_path": "paper_trading/unified_service",
    "price_source": "live",
}
_BY_OTHER_NAMES = frozenset({"paper_trading_initial_capital", "user_capital"})
_FIXED: Mapping[str, Any] = {"product_type": "CNC", "exchange": "NSE", "validity": "DAY"}
_FILLED = "COMPLETE"  # the paper service's own word
_KEPT_FACTS = ("rsi", "ema9", "level", "cycle")


def order_record(order: Row) -> Record:
    """Return an order as one of `orders.json`. A sale at its limit that may still trade is one that waits."""
    known = old_record(order, KIND)
    facts = {name: value for name, value in (order["metadata"] or {}).items() if name in _KEPT_FACTS}
    record = {**_FIXED, **({"metadata": facts} if facts and not known else {}), **known}
    if order["legacy_id"] is not None:
        record["order_id"] = order["legacy_id"]
    return record | {
        "import_key": order["intent_key"],
        "symbol": order["symbol"],
        "quantity": order["quantity"],
        "order_type": order["order_type"].upper(),
        "transaction_type": order["side"].upper(),
        "price": number_or_none(order["price"]),
        "variety": order["variety"].upper(),
        "placed_at": stamp(order["placed_at"]),
        "executed_at": stamp_or_none(order["filled_at"]),
        "executed_price": number_or_none(order["avg_price"]),
        "executed_quantity": order["filled_quantity"],
        **_word(order, known),
    }


def trade_records(order: Row) -> Iterator[Record]:
    """Yield what an order traded as records of `transactions.json`; the last of a sale that closed says why."""
    fills = order["fills"] or []
    for count, fill in enumerate(fills, start=1):
        price, shares = Decimal(str(fill["price"])), int(fill["quantity"])
        record: Record = {
            "order_id": order["legacy_id"],
            "symbol": order["symbol"],
            "transaction_type": order["side"].upper(),
            "quantity": shares,
            "price": number(price),
            "order_value": number(shares * price),
            "charges": float(fill["charges"]),
            "timestamp": stamp(datetime.fromisoformat(fill["at"])),
        }
        if order["side"] == "sell" and order["held_at"] is not None:
            record |= _gain(order, price, shares, last=count == len(fills))
        yield record


def offer_record(order: Row) -> Record | None:
    """Return a sale that may still trade as an entry of `active_sell_orders.json`, None for any other order."""
    if order["side"] != "sell" or not order["is_live"]:
        return None
    return {
        "order_id": order["legacy_id"],
        "target_price": number_or_none(order["price"]),
        "qty": order["quantity"] - order["filled_quantity"],
        "ticker": f"{order['symbol']}.NS",
        "entry_date": stamp_or_none(order["opened_at"]),
    }


def holding_record(position: Row, at: datetime) -> Record:
    """Return a position that is held as an entry of `holdings.json`. at: now."""
    shares, average = position["quantity"], position["avg_price"]
    price = average if position["seen_price"] is None else position["seen_price"]
    return {
        "symbol": position["symbol"],
        "exchange": "NSE",
        "quantity": shares,
        "average_price": number(average),
        "current_price": number(price),
        "cost_basis": number(shares * average),
        "market_value": number(shares * price),
        "pnl": number(shares * (price - average)),
        "pnl_percentage": number(100 * (price - average) / average),
        "last_updated": stamp(at),
        "product_type": "CNC",
    }


def account_record(account: Row, earned: Row, config: TradingConfig, at: datetime) -> Record:
    """Return the account's money as `account.json`. at: now."""
    return {
        "initial_capital": number(config.paper_trading_initial_capital),
        "available_cash": float(account["cash"]),
        "margin_used": 0.0,
        "total_pnl": float(earned["realized"] + earned["unrealized"]),
        "realized_pnl": float(earned["realized"]),
        "unrealized_pnl": float(earned["unrealized"]),
        "created_at": stamp(account["created_at"]),
        "last_updated": stamp(at),
    }


def config_record(config: TradingConfig) -> Record:
    """Return the configuration as `config.json`: what the predecessor knows, and what differs from our defaults."""
    ours = {name: after for name, (_, after) in difference(DEFAULTS, config).items() if name not in _BY_OTHER_NAMES}
    return {
        **_CONFIG,
        **ours,
        "initial_capital": number(config.paper_trading_initial_capital),
        "max_position_size": number(config.user_capital),
    }


def _word(order: Row, known: Record) -> Record:
    word = told(order, known, "remarks")
    return word | {"status": _FILLED} if word["status"] == FILLED else word


def _gain(order: Row, price: Decimal, shares: int, *, last: bool) -> Record:
    entry = order["held_at"]
    return {
        "entry_price": number(entry),
        "exit_price": number(price),
        "realized_pnl": number(shares * (price - entry)),
        "pnl_percentage": number(100 * (price - entry) / entry),
        **({"exit_reason": order["exit_reason"]} if last and order["closes"] and order["exit_reason"] else {}),
    }
