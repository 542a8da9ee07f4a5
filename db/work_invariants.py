"""What must hold of executions, processes and tenants: (name, what a row means and the cure, the statement).

`:since_at` is the first moment of market time that is looked at, `:first_id` the first execution.
"""

from db.executions import OPEN, RUNNING

# The schema itself forbids doubles; what is checked is that it still does. A look at the rows would read them all.
_UNIQUE = (
    "uq_service_task_execution_identity", "uq_positions_open", "uq_orders_live_side", "uq_orders_account_id_intent_key",
    "uq_fills_account_id_broker_fill_id", "uq_cash_entries_account_id_kind_reference", "uq_paper_orders_account_id_tag",
    "uq_reentries_position_id_cycle_level", "uq_reentries_position_id_day", "uq_notifications_user_id_dedupe_key",
    "uq_decisions_account_id_task_name_day_symbol_leg",
)  # fmt: skip
_LIVE_SERVICE = "EXISTS (SELECT FROM service_status WHERE service_running) AND NOT EXISTS (SELECT FROM market_clock)"

# Tables that name a user and an account, each with its key and what is looked at of it.
_OWNED = (
    ("orders", "id", "r.session_day >= :since"),
    ("positions", "id", "r.closed_at IS NULL"),
    ("service_task_execution", "id", OPEN.format("r")),
    ("schedule_subscriptions", "id", "true"),
    ("paper_books", "account_id", "true"),
    ("cash_entries", "id", "r.kind = 'deposit'"),
)
# Tables of an order's own, and the columns that must be as its order has them: no key of theirs holds those.
_OF_ORDERS = (
    ("fills", ("user_id", "account_id")), ("order_events", ("user_id",)), ("reentries", ("user_id", "account_id")),
)  # fmt: skip
# By itself, so that it is looked up by its days and not along with what belongs to it.
_RECENT = "(SELECT id, user_id, account_id FROM orders WHERE session_day >= :since OFFSET 0)"
_STRAYS = " UNION ALL ".join(
    [
        f"SELECT '{table}' AS kind, r.{key} AS id, r.user_id, r.account_id FROM {table} r "
        f"JOIN broker_accounts a ON a.id = r.account_id WHERE r.user_id IS DISTINCT FROM a.user_id AND {looked_at}"
        for table, key, looked_at in _OWNED
    ]
    + [
        f"SELECT '{table}' AS kind, r.id, r.user_id, o.account_id FROM {_RECENT} o JOIN {table} r ON r.order_id = o.id "
        f"WHERE {' OR '.join(f'r.{column} <> o.{column}' for column in columns)}"
        for table, columns in _OF_ORDERS
    ]
)

WORK_INVARIANTS: tuple[tuple[str, str, str], ...] = (
    (
        "executions_end",
        "an execution is past its deadline or its time limit and not over: is a scheduler running?",
        f"""
        SELECT id AS execution_id, task_name, account_id, status, useful_until, executed_at
        FROM service_task_execution e
        WHERE {OPEN.format("e")}
          AND ((status <> 'running' AND useful_until < (SELECT market_now()) - interval '30 min'
                AND created_at < now() - interval '10 min')
               OR (status = 'running' AND executed_at < now() - interval '2 hours'))""",
    ),
    (
        "what_runs_is_held",
        "an execution runs in a worker whose lease is over: no sweep took it back, start a scheduler",
        f"""
        SELECT e.id AS execution_id, e.task_name, e.worker, e.executed_at FROM service_task_execution e
        WHERE {RUNNING.format("e")} AND e.executed_at < now() - interval '15 seconds' AND NOT EXISTS (
            SELECT FROM worker_processes w WHERE w.name = e.worker AND w.ended_at IS NULL
              AND coalesce(w.gone_at, w.lease_until) > now() - interval '15 seconds')""",
    ),
    (
        "attempts_are_told",
        "an execution had more attempts than are recorded with their end: a ledger counted one and did not tell of it",
        """
        SELECT e.id AS execution_id, e.task_name, e.status, e.attempt, a.told FROM service_task_execution e
        CROSS JOIN LATERAL (SELECT count(*) AS told FROM execution_attempts WHERE execution_id = e.id) a
        WHERE e.id > :first_id AND e.scheduled_for >= :since_at
          AND ((e.status = 'failed' AND a.told < e.attempt) OR (e.status = 'success' AND a.told < e.attempt - 1))""",
    ),
    (
        "what_ended_says_how",
        "an execution is over without an end, a reason, or what it did: the ledger did not settle it",
        """
        SELECT id AS execution_id, task_name, status, reason FROM service_task_execution
        WHERE id > :first_id AND scheduled_for >= :since_at
          AND ((status IN ('success', 'failed', 'skipped') AND finished_at IS NULL)
               OR (status IN ('failed', 'skipped') AND reason IS NULL)
               OR (status = 'success' AND (worker IS NULL OR attempt < 1 OR duration_seconds <= 0 OR details IS NULL
                   OR details IN ('{}', 'null') OR executed_at IS NULL OR finished_at < executed_at)))""",
    ),
    (
        "a_scheduler_beats",
        "services are switched on and no scheduler has been seen for two minutes: start one",
        f"""
        SELECT count(*) AS services FROM service_status
        WHERE service_running AND {_LIVE_SERVICE} AND NOT EXISTS (
            SELECT FROM scheduler_processes WHERE stopped_at IS NULL AND seen_at > now() - interval '2 min')
        HAVING count(*) > 0""",
    ),
    (
        "a_worker_lives",
        "services are switched on and no worker has had a lease for two minutes: start one",
        f"""
        SELECT count(*) AS services FROM service_status
        WHERE service_running AND {_LIVE_SERVICE} AND NOT EXISTS (
            SELECT FROM worker_processes WHERE ended_at IS NULL AND lease_until > now() - interval '2 min')
        HAVING count(*) > 0""",
    ),
    (
        "schedules_fire",
        "a schedule is two minutes past its time and has not fired: its fault says why, or a scheduler is stuck",
        f"""
        SELECT name, task_name, coalesce(firing_slot, next_due_at) AS due, claimed_by, fault FROM schedules
        WHERE enabled AND coalesce(firing_slot, next_due_at) < now() - interval '2 min' AND {_LIVE_SERVICE}""",
    ),
    (
        "what_is_unique_stays_so",
        "the schema does not forbid a double any more: make the constraint or index again, by the migrations",
        "SELECT name FROM unnest(ARRAY["
        + ", ".join(f"'{name}'" for name in _UNIQUE)
        + """]) AS must(name) WHERE NOT EXISTS (
            SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE c.relname = must.name AND i.indisunique AND i.indisvalid)""",
    ),
    (
        "rows_stay_with_their_user",
        "a row names one user and an account of another: nothing of ours writes that, so look who did",
        _STRAYS,
    ),
)
