"""Which halt keeps an execution from beginning, in SQL: a function, so that no statement is planned longer for it."""

# The oldest halt of tasks in force that concerns an execution, null for none. A user's task is of his strategy, a shared
# one of that its subject begins with. Whatever stops, the broker's book is read while an account has live orders, and a
# submit passes that asks for a cancel, or whose order is being sent or cancelled.
HALT_OF = """
CREATE FUNCTION halt_of(task text, owner bigint, account bigint, about text) RETURNS bigint LANGUAGE plpgsql STABLE
AS $$
DECLARE
    first bigint := (
        SELECT h.id FROM halts h
        WHERE h.ended_at IS NULL AND h.tasks AND h.symbol IS NULL AND (h.until IS NULL OR h.until > market_now())
          AND (h.user_id IS NULL OR h.user_id = owner) AND (h.account_id IS NULL OR h.account_id = account)
          AND (h.task_name IS NULL OR h.task_name = task)
          AND (h.strategy IS NULL OR h.strategy = CASE
                   WHEN owner IS NULL THEN split_part(about, ':', 1)
                   ELSE (SELECT c.strategy FROM user_trading_config c WHERE c.user_id = owner) END)
        ORDER BY h.id LIMIT 1);
BEGIN
    IF first IS NULL THEN
        RETURN NULL;
    END IF;
    IF task IN ('order_sync', 'reconcile') AND EXISTS (
        SELECT FROM orders o WHERE o.account_id = account AND o.status IN (
            'acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown'))
    THEN
        RETURN NULL;
    END IF;
    IF task = 'submit' AND about ~ '^[0-9]{1,18}:' AND EXISTS (
        SELECT FROM orders o WHERE o.id = split_part(about, ':', 1)::bigint AND o.user_id = owner
          AND (o.status IN ('sending', 'cancelling') OR jsonb_exists(o.change, 'cancel')))
    THEN
        RETURN NULL;
    END IF;
    RETURN first;
END $$
"""

HALT_FUNCTION = "halt_of(text, bigint, bigint, text)"
