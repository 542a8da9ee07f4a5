"""What must agree in the rows of a replay that is over, whatever happened to its processes."""

from db.invariants import check
from tests.flow.replays import Scene
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))

# Beside the invariants, which hold at any moment.
DISAGREEMENTS: dict[str, str] = {
    "an execution that is not over": """
        SELECT task_name, subject, scheduled_for, status FROM service_task_execution, market_clock
        WHERE status NOT IN ('success', 'failed', 'skipped', 'cancelled') AND scheduled_for <= market_clock.ends_at""",
    "an order that is not final after its session": f"""
        SELECT o.id, o.status FROM orders o, market_clock c
        WHERE o.session_day <= (c.at AT TIME ZONE 'Asia/Kolkata')::date
          AND o.status IN ({_LIVE})""",
    "an order that the venue has not, or as another": """
        SELECT coalesce(o.tag, p.tag), o.status, p.word FROM orders o
        FULL JOIN paper_orders p ON p.account_id = o.account_id AND p.tag = o.tag
        WHERE o.id IS NULL OR (p.id IS NULL AND o.broker_order_id IS NOT NULL)
           OR p.symbol <> o.symbol OR p.side <> o.side OR p.quantity <> o.quantity
           OR p.filled_quantity <> o.filled_quantity OR o.broker_order_id <> 'P' || p.tag""",
    "cash that is other than the venue's": """
        SELECT a.code, a.cash, b.cash FROM broker_accounts a JOIN paper_books b ON b.account_id = a.id
        WHERE a.cash <> b.cash""",
}


async def disagreements(scene: Scene) -> dict[str, list[object]]:
    """Return what does not agree, by name, with some rows of each; empty when all does."""
    found = {name: await scene.rows(f"{query} LIMIT 5") for name, query in DISAGREEMENTS.items()}
    async with scene.database.reading(None) as session:
        findings = await check(session)
    return {
        **{name: [tuple(row) for row in rows] for name, rows in found.items() if rows},
        **{finding.name: list(finding.rows) for finding in findings},
    }
