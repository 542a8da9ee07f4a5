"""Imports every row class, so that one metadata knows all tables."""

from db import (
    accounts,
    bars,
    calendar,
    clock,
    configs,
    decisions,
    error_logs,
    executions,
    models,
    orders,
    paper,
    positions,
    schedules,
    service_status,
    signals,
    users,
    workers,
)
from db.base import USER_SCOPED, Base

metadata = Base.metadata

__all__ = [
    "USER_SCOPED",
    "accounts",
    "bars",
    "calendar",
    "clock",
    "configs",
    "decisions",
    "error_logs",
    "executions",
    "metadata",
    "models",
    "orders",
    "paper",
    "positions",
    "schedules",
    "service_status",
    "signals",
    "users",
    "workers",
]
