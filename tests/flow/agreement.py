"""What must agree in the rows of a replay that is over, whatever happened to its processes."""

from tests.flow.replays import Scene
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))

DISAGREEMENTS: dict[str, str] = {
    "an execution that is not over": """
        SELECT task_name, subject, scheduled_for, status FROM service_task_execution, market_clock
        WHERE status NOT IN ('success', 'failed', 'skipped', 'cancelled') AND scheduled_for <= market_clock.ends_at""",
    "an execution that is there twice": """
        SELECT task_name, user_id, account_id, subject, scheduled_for FROM service_task_execution
        GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1""",
    "a success without worker, attempt, duration or details": """
        SELECT task_name, worker, attempt, duration_seconds, details FROM service_task_execution
        WHERE status = 'success' AND (worker IS NULL OR attempt < 1 OR duration_seconds <= 0 OR details IS NULL
              OR details IN ('{}', 'null') OR executed_at IS NULL OR finished_at < executed_at)""",
    "an execution that is over without an end or a reason": """
        SELECT task_name, status FROM service_task_execution
        WHERE status IN ('success', 'failed', 'skipped') AND (finished_at IS NULL
              OR (status <> 'success' AND reason IS NULL))""",
    "an order that is not final after its session": f"""
        SELECT o.id, o.status FROM orders o, market_clock c
        WHERE o.session_day <= (c.at AT TIME ZONE 'Asia/Kolkata')::date
          AND o.status IN ({_LIVE})""",
    "an intent that was ordered twice": """
        SELECT account_id, session_day, symbol, side, leg FROM orders GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1""",
    "an order that the venue has not, or as another": """
        SELECT coalesce(o.tag, p.tag), o.status, p.word FROM orders o
        FULL JOIN paper_orders p ON p.account_id = o.account_id AND p.tag = o.tag
        WHERE o.id IS NULL OR (p.id IS NULL AND o.broker_order_id IS NOT NULL)
           OR p.symbol <> o.symbol OR p.side <> o.side OR p.quantity <> o.quantity
           OR p.filled_quantity <> o.filled_quantity OR o.broker_order_id <> 'P' || p.tag""",
    "a fill that was booked twice": """
        SELECT account_id, broker_fill_id FROM fills GROUP BY 1, 2 HAVING count(*) > 1""",
    "an order whose fills are not what it says": """
        SELECT o.id, o.filled_quantity, f.quantity FROM orders o
        LEFT JOIN (SELECT order_id, sum(quantity) AS quantity FROM fills GROUP BY 1) f ON f.order_id = o.id
        WHERE o.filled_quantity <> coalesce(f.quantity, 0)""",
    "a position that is not its fills": """
        SELECT account_id, symbol, f.held, p.quantity, f.earned, p.realized_pnl FROM
            (SELECT account_id, symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held,
                    sum(CASE side WHEN 'buy' THEN quantity ELSE 0 END) AS bought, sum(charges) AS charges,
                    sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * quantity * price - charges) AS earned
             FROM fills GROUP BY 1, 2) f
        FULL JOIN
            (SELECT account_id, symbol, sum(quantity) AS quantity, sum(entry_quantity) AS bought,
                    sum(charges) AS charges, sum(realized_pnl) AS realized_pnl, sum(quantity * avg_price) AS cost
             FROM positions GROUP BY 1, 2) p USING (account_id, symbol)
        WHERE f.held IS DISTINCT FROM p.quantity OR f.bought IS DISTINCT FROM p.bought
           OR f.charges IS DISTINCT FROM p.charges OR abs(f.earned + p.cost - p.realized_pnl) > 0.05""",
    "cash that is not what was deposited and traded": """
        SELECT a.code, a.cash, e.entries, e.deposit, t.traded FROM broker_accounts a
        JOIN (SELECT account_id, sum(amount) AS entries, sum(amount) FILTER (WHERE kind = 'deposit') AS deposit
              FROM cash_entries GROUP BY 1) e ON e.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * round(quantity * price, 2)
                          - charges) AS traded FROM fills GROUP BY 1) t ON t.account_id = a.id
        WHERE a.cash <> e.entries OR a.cash <> e.deposit + coalesce(t.traded, 0)""",
    "cash that is other than the venue's": """
        SELECT a.code, a.cash, b.cash FROM broker_accounts a JOIN paper_books b ON b.account_id = a.id
        WHERE a.cash <> b.cash""",
}


async def disagreements(scene: Scene) -> dict[str, list[object]]:
    """Return what does not agree, by name, with some rows of each; empty when all does."""
    found = {name: await scene.rows(f"{query} LIMIT 5") for name, query in DISAGREEMENTS.items()}
    return {name: [tuple(row) for row in rows] for name, rows in found.items() if rows}
