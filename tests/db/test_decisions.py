"""The journal keeps what was decided, in whole batches, and the first of what is said twice."""

from datetime import date
from typing import Any

from sqlalchemy import text

from db.decisions import DecisionRepository
from db.transaction import Database
from tests.people import Person, person

DAY = date(2024, 1, 2)


def decision(who: Person, symbol: str, **facts: Any) -> dict[str, Any]:
    return {
        "user_id": who.user_id, "account_id": who.account_id, "execution_id": 9, "task_name": "buy_orders", "day": DAY,
        "symbol": symbol, "leg": "entry", "verdict": "refused", "code": None, "facts": facts, "config_version": 3,
        "model_version": None, "confidence": None,
    }  # fmt: skip


async def test_decisions_are_kept_as_they_were_made_and_the_first_of_two_stays(database: Database) -> None:
    asha = await person(database)
    facts = {"rsi": 21.375, "said": 'it\'s "dear" \u20b9', "none": None, "list": [1, 0.1]}
    made = [
        decision(asha, "INFY", **facts),
        decision(asha, "TCS") | {"code": "funds", "model_version": "v7", "confidence": 0.1 + 0.2},
    ]
    async with database.transaction(asha.user_id) as session:
        await DecisionRepository(session).journal(made)
        await DecisionRepository(session).journal([decision(asha, "TCS", other=1), decision(asha, "WIPRO")])
        await DecisionRepository(session).journal([])
        query = text(f"SELECT {', '.join(made[0])} FROM decisions ORDER BY id")  # columns of ours
        kept = [dict(row) for row in (await session.execute(query)).mappings()]
    assert kept == [*made, decision(asha, "WIPRO")]


async def test_what_a_caller_leaves_out_is_unknown(database: Database) -> None:
    asha = await person(database)
    short = {name: value for name, value in decision(asha, "INFY").items() if value is not None}
    async with database.transaction(asha.user_id) as session:
        await DecisionRepository(session).journal([short])
        kept = (await session.execute(text("SELECT code, model_version, confidence FROM decisions"))).all()
    assert kept == [(None, None, None)]
