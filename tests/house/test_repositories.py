"""Queries live in repositories, named as their nouns; those of one user's rows cannot be had without the user."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import db

NOUNS = (
    "ServiceStatus", "ServiceTask", "ServiceLog", "ErrorLog", "UserTradingConfig", "MLTrainingJob", "MLModel",
    "Notification", "AuditLog", "Fill", "Order", "Position", "Signal", "Schedule", "Calendar", "Bar", "Account",
)  # fmt: skip
OF_ONE_ACCOUNT = {
    "ExportRepository", "FillRepository", "ImportLookupRepository", "OrderRepository", "PnlRepository",
    "PositionRepository", "ReentryRepository",
}  # fmt: skip


def repositories() -> dict[str, type]:
    modules = [importlib.import_module(f"db.{module.name}") for module in pkgutil.iter_modules(db.__path__)]
    classes = [named for module in modules for named in inspect.getmembers(module, inspect.isclass)]
    return {name: kind for name, kind in classes if name.endswith("Repository")}


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_has_its_repository(noun: str) -> None:
    assert f"{noun}Repository" in repositories()


def test_a_repository_works_in_the_transaction_of_its_caller() -> None:
    firsts = {name: next(iter(inspect.signature(kind).parameters)) for name, kind in repositories().items()}
    assert set(firsts.values()) == {"session"}, firsts


def test_what_belongs_to_one_account_asks_for_its_user() -> None:
    asked = {name: list(inspect.signature(kind).parameters)[1:] for name, kind in repositories().items()}
    assert {name for name, more in asked.items() if more == ["user_id", "account_id"]} == OF_ONE_ACCOUNT


def test_steps_ask_by_methods_and_hold_no_query() -> None:
    steps = sorted((Path(db.__path__[0]).parent / "worker" / "steps").glob("*.py"))
    assert steps
    assert [path.name for path in steps if "from sqlalchemy import" in path.read_text()] == []
