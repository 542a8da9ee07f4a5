"""What must agree in the rows of a replay that is over, whatever happened to its processes."""

from db.invariants import EVERYTHING, check
from tests.flow.replays import Scene

# Beside the invariants, which hold at any moment and look at what the schema forbids without reading every row.
AT_THE_END: dict[str, str] = {
    "an execution that is not over": """
        SELECT task_name, subject, scheduled_for, status FROM service_task_execution, market_clock
        WHERE status NOT IN ('success', 'failed', 'skipped', 'cancelled') AND scheduled_for <= market_clock.ends_at""",
    "an execution that is there twice": """
        SELECT task_name, user_id, account_id, subject, scheduled_for FROM service_task_execution
        GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1""",
    "a fill that was booked twice": """
        SELECT account_id, broker_fill_id FROM fills GROUP BY 1, 2 HAVING count(*) > 1""",
    "an order of its last session that is not final": """
        SELECT o.id, o.status FROM orders o, market_clock c
        WHERE o.session_day <= (c.at AT TIME ZONE 'Asia/Kolkata')::date
          AND o.status NOT IN ('denied', 'not_placed', 'filled', 'cancelled', 'rejected', 'failed', 'expired')""",
}


async def disagreements(scene: Scene) -> dict[str, list[object]]:
    """Return what does not agree, by name, with some rows of each; empty when all does."""
    found = {name: await scene.rows(f"{query} LIMIT 5") for name, query in AT_THE_END.items()}
    async with scene.database.reading(None) as session:
        findings = await check(session, EVERYTHING)
    return {
        **{name: [tuple(row) for row in rows] for name, rows in found.items() if rows},
        **{finding.name: list(finding.rows) for finding in findings},
    }
