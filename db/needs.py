"""The prerequisites of a waiting execution `e`, as SQL: what it needs, and when that is met."""

# A need is met by the newest success of a task due at or after a moment: of the same account, or of a parameter set.
# One that waits for its turn names the execution before it, which has only to be over, however it ended; asked with
# EXISTS, all that are not over would be read into a table of keys first.
MET = """
    CASE WHEN n.ends IS NOT NULL THEN (
        SELECT true FROM service_task_execution d
        WHERE d.scheduled_for = n.after AND d.id = n.ends AND d.is_open LIMIT 1) IS NULL
    WHEN n.account THEN EXISTS (
        SELECT FROM service_task_execution d WHERE d.task_name = n.task AND d.user_id = e.user_id
          AND d.account_id = e.account_id AND d.scheduled_for >= n.after AND {status})
    ELSE EXISTS (
        SELECT FROM service_task_execution d WHERE d.task_name = n.task AND d.user_id IS NULL AND d.account_id IS NULL
          AND d.subject = n.subject AND d.scheduled_for >= n.after AND {status}) END
"""

NEEDS = (
    "jsonb_to_recordset(e.waiting_for) "
    "AS n(task text, subject text, account bool, after timestamptz, repeats bool, newest bool, ends bigint)"
)
