"""What must hold between orders, fills, positions and money: (name, what a row means and the cure, the statement).

`:since` and `:since_at` are the first day and moment of market time that is looked at. What was imported came with its
own past: trades of one share may overlap in it, so an imported fill belongs to the position that its order names, and
is paid for by its batch.
"""

from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
# A sync, a monitor and the request that follows take minutes of market time: until then a difference is on its way.
_NOTHING_MOVES = """NOT EXISTS (
            SELECT FROM orders n JOIN order_events v ON v.order_id = n.id
            WHERE n.account_id = o.account_id AND n.symbol = o.symbol AND n.session_day >= o.session_day - 7
              AND v.at > market_now() - interval '10 min')"""

# An imported fill is of the position its order names, and of no other; one that an import closed has no other fills.
_BELONGS = """CASE WHEN t.import_batch_id IS NOT NULL
                   THEN EXISTS (SELECT FROM orders WHERE id = t.order_id AND position_id = p.id)
                   ELSE NOT EXISTS (SELECT FROM orders
                                    WHERE id = p.sell_order_id AND import_batch_id IS NOT NULL) END"""

ORDER_INVARIANTS: tuple[tuple[str, str, str], ...] = (
    (
        "one_open_position",
        "an account holds one share in two open positions: look at their fills before anything is sold",
        """
        SELECT account_id, regexp_replace(symbol, '-(EQ|BE|BL|BZ)$', '') AS symbol, count(*) AS positions FROM positions
        WHERE closed_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1""",
    ),
    (
        "sale_fits_position",
        "more or fewer shares are on offer than are held: the next order sync or sell monitor must resize the sale",
        f"""
        SELECT o.account_id, o.symbol, o.id AS order_id, o.quantity - o.filled_quantity AS offered, p.quantity AS held
        FROM orders o JOIN positions p ON p.account_id = o.account_id AND p.symbol = o.symbol AND p.closed_at IS NULL
        JOIN market_sessions s ON s.exchange = o.exchange AND s.day = o.session_day
        WHERE o.side = 'sell' AND o.status IN ({_LIVE}) AND market_now() BETWEEN s.opens_at AND s.closes_at
          AND o.quantity - o.filled_quantity <> p.quantity
          AND (o.change IS NULL OR jsonb_exists(o.change, 'accepted')) AND {_NOTHING_MOVES}""",
    ),
    (
        "what_is_closed_has_no_orders",
        "an order sells or adds to a position that is not open: cancel it",
        f"""
        SELECT o.account_id, o.symbol, o.id AS order_id, o.side, o.status FROM orders o
        WHERE o.status IN ({_LIVE}) AND (o.side = 'sell' OR o.entry_type = 'reentry')
          AND NOT EXISTS (SELECT FROM positions p WHERE p.account_id = o.account_id AND p.symbol = o.symbol
                          AND p.closed_at IS NULL)
          AND {_NOTHING_MOVES}""",
    ),
    (
        "fills_are_the_orders",
        "an order says another filled quantity than its fills: read the broker's book of its session",
        """
        SELECT o.id AS order_id, o.quantity, o.filled_quantity, f.quantity AS fills FROM orders o
        CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS quantity FROM fills WHERE order_id = o.id) f
        WHERE o.session_day >= :since AND (o.filled_quantity <> f.quantity OR f.quantity > o.quantity)""",
    ),
    (
        "positions_are_their_fills",
        "a position is not the sum of its fills: a fill is missing or was booked to another share",
        f"""
        SELECT p.id AS position_id, p.account_id, p.symbol, p.quantity, f.held, p.realized_pnl, f.earned
        FROM (SELECT * FROM positions WHERE closed_at IS NULL
              UNION ALL SELECT * FROM positions WHERE closed_at >= :since_at) p
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END), 0) AS held,
                   coalesce(sum(quantity) FILTER (WHERE side = 'buy'), 0) AS bought,
                   coalesce(sum(charges), 0) AS charges,
                   coalesce(sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * quantity * price - charges), 0) AS earned
            FROM fills t WHERE user_id = p.user_id AND account_id = p.account_id AND symbol = p.symbol
              AND filled_at BETWEEN p.opened_at AND coalesce(p.closed_at, 'infinity')
              AND {_BELONGS}) f
        WHERE f.held <> p.quantity OR f.bought <> p.entry_quantity OR f.charges <> p.charges
           OR abs(f.earned + p.quantity * p.avg_price - p.realized_pnl) > 0.05""",
    ),
    (
        "fills_have_a_position",
        "shares were traded that no position tells of: book the fill to its position",
        """
        SELECT f.id AS fill_id, f.account_id, f.symbol, f.side, f.quantity FROM orders o
        JOIN fills f ON f.order_id = o.id
        WHERE o.session_day >= :since AND (f.import_batch_id IS NULL OR o.position_id IS NULL) AND NOT EXISTS (
            SELECT FROM positions p WHERE p.user_id = f.user_id AND p.account_id = f.account_id AND p.symbol = f.symbol
              AND p.opened_at <= f.filled_at AND (p.closed_at IS NULL OR p.closed_at >= f.filled_at))""",
    ),
    (
        "failed_orders_expire",
        "an order that may not be tried any more still waits for it: the evening clean-up of its account did not run",
        """
        SELECT id AS order_id, account_id, symbol, retry_until FROM orders
        WHERE status = 'failed' AND (retry_until IS NULL OR retry_until < market_now() - interval '12 hours')""",
    ),
    (
        "nothing_stays_unanswered",
        "an order has not reached its broker and nothing is about to send or find it: run an order sync of its account",
        f"""
        SELECT o.id AS order_id, o.account_id, o.symbol, o.status FROM orders o
        WHERE o.status IN ({_LIVE}) AND o.status IN ('planned', 'sending', 'unknown') AND o.broker_order_id IS NULL
          AND NOT EXISTS (SELECT FROM order_events v
                          WHERE v.order_id = o.id AND v.at > market_now() - interval '2 min')
          AND NOT EXISTS (SELECT FROM service_task_execution e
                          WHERE e.is_open AND NOT e.is_waiting AND e.user_id = o.user_id
                            AND e.account_id = o.account_id AND e.task_name IN ('submit', 'reconcile')
                            AND e.subject LIKE o.id || ':%')""",
    ),
    (
        "orders_end_with_their_session",
        "an order of an earlier session is not final: the broker's book was not read to its end",
        f"""
        SELECT id AS order_id, account_id, symbol, status, session_day FROM orders
        WHERE status IN ({_LIVE}) AND session_day < (market_now() AT TIME ZONE 'Asia/Kolkata')::date""",
    ),
    (
        "an_intent_is_ordered_once",
        "one wish of one session became two orders: cancel the second, and look at how it came to be",
        """
        SELECT account_id, session_day, symbol, side, leg, array_agg(id ORDER BY id) AS order_ids FROM orders
        WHERE session_day >= :since AND retry_of IS NULL AND import_batch_id IS NULL
        GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1""",
    ),
    (
        "portfolio_within_its_size",
        "an account holds and is buying more shares than any configuration of its user allowed: cancel purchases",
        f"""
        SELECT s.account_id, count(*) AS symbols, max(v.most) AS most FROM (
            SELECT account_id, user_id, symbol FROM positions WHERE closed_at IS NULL AND import_batch_id IS NULL
            UNION SELECT account_id, user_id, symbol FROM orders
            WHERE side = 'buy' AND status IN ({_LIVE}) AND import_batch_id IS NULL) s
        CROSS JOIN LATERAL (SELECT max((config ->> 'max_portfolio_size')::int) AS most
                            FROM user_trading_config_versions WHERE user_id = s.user_id) v
        GROUP BY 1 HAVING count(*) > max(v.most)""",
    ),
    (
        "fills_are_paid",
        "a fill moved no money, or another sum than its own: book its cash entries",
        """
        SELECT f.id AS fill_id, f.account_id, f.symbol, f.fill_value, v.amount AS value, f.charges, c.amount AS charged
        FROM orders o JOIN fills f ON f.order_id = o.id
        LEFT JOIN cash_entries v
               ON v.account_id = f.account_id AND v.kind = f.side AND v.reference = f.broker_fill_id
        LEFT JOIN cash_entries c
               ON c.account_id = f.account_id AND c.kind = 'charges' AND c.reference = f.broker_fill_id
        WHERE o.session_day >= :since AND f.import_batch_id IS NULL
          AND (v.amount IS DISTINCT FROM CASE f.side WHEN 'buy' THEN -f.fill_value ELSE f.fill_value END
               OR c.amount IS DISTINCT FROM -f.charges)""",
    ),
    (
        # The one look at a whole history: a balance says nothing by itself.
        "cash_is_what_was_traded",
        "an account's cash is not what was deposited and traded: find the booking that is missing",
        """
        SELECT a.id AS account_id, a.cash, e.entries, e.deposits, t.traded FROM broker_accounts a
        LEFT JOIN (SELECT account_id, sum(amount) AS entries, sum(amount) FILTER (WHERE kind = 'deposit') AS deposits
                   FROM cash_entries GROUP BY 1) e ON e.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * fill_value - charges) AS traded
                   FROM fills GROUP BY 1) t ON t.account_id = a.id
        WHERE a.cash <> coalesce(e.entries, 0) OR a.cash <> coalesce(e.deposits, 0) + coalesce(t.traded, 0)""",
    ),
    (
        "the_paper_venue_agrees",
        "an order that is over is another one at the paper venue, or only one of the two knows it: compare both rows",
        f"""
        SELECT o.id AS order_id, o.tag, o.status, p.word, o.filled_quantity, p.filled_quantity AS at_venue
        FROM orders o JOIN broker_accounts a ON a.id = o.account_id AND a.venue = 'paper'
        LEFT JOIN paper_orders p ON p.account_id = o.account_id AND p.tag = o.tag
        WHERE o.session_day >= :since AND o.status NOT IN ({_LIVE})
          AND ((p.id IS NULL AND o.broker_order_id IS NOT NULL AND o.import_batch_id IS NULL)
               OR p.symbol <> o.symbol OR p.side <> o.side
               OR p.quantity <> o.quantity OR p.filled_quantity <> o.filled_quantity
               OR o.broker_order_id <> 'P' || p.tag)
        UNION ALL
        SELECT NULL, p.tag, NULL, p.word, NULL, p.filled_quantity FROM paper_books b
        JOIN paper_orders p ON p.account_id = b.account_id AND p.session_day >= :since
        WHERE NOT EXISTS (SELECT FROM orders o WHERE o.account_id = p.account_id AND o.tag = p.tag)""",
    ),
    (
        "the_paper_venue_has_the_same_cash",
        "the paper venue counts another sum while no order is under way: a fill was not booked, or otherwise",
        f"""
        SELECT a.id AS account_id, a.cash, b.cash AS at_venue FROM broker_accounts a
        JOIN paper_books b ON b.account_id = a.id
        WHERE a.cash <> b.cash
          AND NOT EXISTS (SELECT FROM orders o WHERE o.account_id = a.id AND o.status IN ({_LIVE}))""",
    ),
)
