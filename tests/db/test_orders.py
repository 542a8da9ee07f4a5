"""What the schema makes of an order by itself."""

import pytest
from sqlalchemy import text

from db.transaction import Database
from tests.people import person

_ORDER = text(
    "INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag, "
    "strategy, leg, rank, reference_price, as_of, session_day, config_version) VALUES "
    "(:user_id, :account_id, :symbol, 'buy', 'market', 'amo', 1, 'filled', 'k', 't', 'dip', 'entry', 1, 1, now(), "
    "'2024-01-03', 1) RETURNING base_symbol"
)


@pytest.mark.parametrize(
    ("symbol", "base"),
    [
        ("RELIANCE-EQ", "RELIANCE"), ("RELIANCE", "RELIANCE"), ("BAJAJ-AUTO", "BAJAJ-AUTO"), ("BAJAJ-AUTO-EQ", "BAJAJ-AUTO"),
        ("IDEA-BE", "IDEA"), ("M&M-BL", "M&M"), ("X-BZ", "X"), ("EQ-RELIANCE", "EQ-RELIANCE"),
    ],
)  # fmt: skip
async def test_the_base_symbol_is_the_symbol_without_its_series(database: Database, symbol: str, base: str) -> None:
    asha = await person(database)
    async with database.transaction(None) as session:
        values = {"user_id": asha.user_id, "account_id": asha.account_id, "symbol": symbol}
        assert (await session.execute(_ORDER, values)).scalar_one() == base
