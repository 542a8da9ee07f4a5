"""What a schedule must be to make sense for the tasks there are."""

from trading.calendar import Calendar
from trading.definitions import Definition
from trading.errors import BadDefinition
from worker.messages import TASKS


def check_schedule(definition: Definition, _calendar: Calendar) -> None:
    """Refuse a definition that makes no sense. Raises BadDefinition naming the column, the value and a valid one."""
    if definition.task_name not in TASKS:
        raise BadDefinition("task_name", definition.task_name, f"there are {', '.join(sorted(TASKS))}", "order_sync")
