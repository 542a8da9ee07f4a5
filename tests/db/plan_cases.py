"""Calls of every repository method, for a look at the plans of its statements: one line a method.

Ids are those of `tests/db/filled.py`. A method that reads small tables only stands in SMALL, one that must read a whole
large table in WHOLE, each with its reason.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository, CashMovement
from db.activity import ActivityRepository
from db.audit_logs import AuditLogRepository
from db.bars import BarRepository
from db.configs import UserTradingConfigRepository
from db.decisions import DecisionRepository
from db.error_logs import ErrorLogRepository
from db.executions import Execution, FollowUp, ServiceTaskRepository
from db.histories import HistoryRepository
from db.lookups import LookupRepository
from db.notifications import Notice, NotificationRepository
from db.orders import OrderRepository
from db.overview import OverviewRepository
from db.paper import PaperRepository
from db.pnl import DayTrades, PnlRepository
from db.positions import FillRepository, PositionRepository
from db.reentries import FilledRung, ReentryRepository, Rung
from db.retention import RetentionRepository
from db.schedules import ScheduleRepository
from db.service_logs import ServiceLogRepository
from db.service_status import ServiceStatusRepository
from db.signals import Analysis, SignalRepository
from db.training_jobs import MLTrainingJobRepository
from db.user_signals import UserSignalRepository
from db.users import UserRepository
from db.workers import WorkerRepository
from tests.db.filled import IN_SLOT, ORDERS, SLOT
from tests.db.firing_plan_cases import OF_FIRINGS, SMALL_OF_FIRINGS
from tests.db.halt_plan_cases import OF_A_USERS_HALTS, OF_HALTS, SMALL_OF_HALTS
from tests.db.import_plan_cases import OF_BATCHES, OF_IMPORTS
from tests.db.inspection_plan_cases import OF_INSPECTIONS, SMALL_OF_INSPECTIONS
from tests.db.queue_plan_cases import OF_QUEUE, SMALL_OF_QUEUE
from tests.db.schedule_plan_cases import (
    OF_SCHEDULES,
    OF_SCHEDULES_OF_A_USER,
    SMALL_OF_SCHEDULES,
    WHOLE_OF_SCHEDULES,
)
from tests.db.service_plan_cases import OF_SERVICES, SMALL_OF_SERVICES
from trading.bars import Bar
from trading.books import day_books
from trading.config import DEFAULTS
from trading.portfolio import Fill
from trading.values import Side, Symbol

Call = Callable[[AsyncSession], Awaitable[object]]

USER, ACCOUNT, DAY = 25, 25, date(2024, 1, 9)
# An account's newest live order and newest failed one, and a filled one; the account's open position.
LIVE, FAILED, FILLED, HELD = ORDERS - 75, ORDERS - 275, 2025, 9525
RUNNING, QUEUED = IN_SLOT // 2 + 25, IN_SLOT - 75

_AT = datetime(2024, 1, 9, 11, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_S1 = Symbol("S1")
_OWN = Execution(SLOT, RUNNING, 1, "sell_monitor", USER, ACCOUNT, str(RUNNING), SLOT, None, 1, SLOT, 1)
_BAR = Bar(_S1, DAY, Decimal(1), Decimal(1), Decimal(1), Decimal(1), 1)
_FILL = Fill(_S1, Side.BUY, 10, Decimal(10), Decimal(1), _AT)
_TRADES = DayTrades([], 0, Decimal(1), Decimal(1), Decimal(0), 0)
_NEW_ORDER: dict[str, object] = {
    "execution_id": 1, "symbol": "NEW", "side": "buy", "order_type": "market", "variety": "amo", "quantity": 1,
    "status": "planned", "intent_key": "new", "tag": "new", "strategy": "dip", "leg": "entry", "rank": 1,
    "reference_price": 1, "as_of": _AT, "session_day": DAY, "config_version": 1,
}  # fmt: skip
_DECISION = {
    "user_id": USER, "account_id": ACCOUNT, "execution_id": 1, "task_name": "buy_orders", "day": DAY, "symbol": "X",
    "leg": "entry", "verdict": "refused", "facts": {}, "config_version": 1,
}  # fmt: skip
_LINE = SimpleNamespace(
    at=_AT, user_id=USER, level="INFO", module="m", message="m", task=None, execution_id=1, context=None
)


def _orders(session: AsyncSession) -> OrderRepository:
    return OrderRepository(session, USER, ACCOUNT)


def _fills(session: AsyncSession) -> FillRepository:
    return FillRepository(session, USER, ACCOUNT)


def _positions(session: AsyncSession) -> PositionRepository:
    return PositionRepository(session, USER, ACCOUNT)


def _reentries(session: AsyncSession) -> ReentryRepository:
    return ReentryRepository(session, USER, ACCOUNT)


def _pnl(session: AsyncSession) -> PnlRepository:
    return PnlRepository(session, USER, ACCOUNT)


def _signals(session: AsyncSession) -> UserSignalRepository:
    return UserSignalRepository(session, USER)


async def _pages(session: AsyncSession) -> None:
    """Look executions up by each filter an operator has."""
    look = LookupRepository(session)
    day = {"first": SLOT - _HOUR, "last": SLOT + _HOUR}
    await look.executions(20, **day)
    await look.executions(20, user_id=USER, **day)
    await look.executions(20, user_id=USER, task="order_sync")
    await look.executions(20, status="failed", **day)
    await look.executions(20, status="running")
    await look.executions(20, status="failed")


# Repository.method -> its call. Those of a user run in the user's scope, the others in the system's.
OF_A_USER: dict[str, Call] = {
    **OF_A_USERS_HALTS,
    **OF_SCHEDULES_OF_A_USER,
    "AccountRepository.book": lambda s: AccountRepository(s).book(
        USER, ACCOUNT, _AT, [CashMovement("charges", Decimal(-1), "n")]
    ),
    "AccountRepository.get": lambda s: AccountRepository(s).get(USER, ACCOUNT),
    "AccountRepository.lock": lambda s: AccountRepository(s).lock(USER, ACCOUNT),
    "ActivityRepository.page": lambda s: ActivityRepository(s).page(USER, 20),
    "ActivityRepository.record_day": lambda s: ActivityRepository(s).record_day(USER, ACCOUNT, SLOT - 24 * _HOUR, SLOT),
    "DecisionRepository.journal": lambda s: DecisionRepository(s).journal([_DECISION]),
    "DecisionRepository.made": lambda s: DecisionRepository(s).made(ACCOUNT, "buy_orders", DAY, 1),
    "FillRepository.book": lambda s: _fills(s).book([(FILLED, "new", _FILL)]),
    "FillRepository.known": lambda s: _fills(s).known([f"f{FILLED}", "new"]),
    "FillRepository.symbols_between": lambda s: _fills(s).symbols_between(SLOT - 24 * _HOUR, SLOT),
    "HistoryRepository.error": lambda s: HistoryRepository(s, USER).error(USER),
    "HistoryRepository.errors": lambda s: HistoryRepository(s, USER).errors(20, (_AT, 9_000)),
    "HistoryRepository.errors not resolved": lambda s: HistoryRepository(s, USER).errors(20, unresolved=True),
    "HistoryRepository.executions": lambda s: HistoryRepository(s, USER).executions(SLOT - 48 * _HOUR, 20),
    "HistoryRepository.executions of a task": lambda s: HistoryRepository(s, USER).executions(
        SLOT - 900 * _HOUR, 20, (SLOT, 9), "order_sync"
    ),
    "HistoryRepository.fills": lambda s: HistoryRepository(s, USER).fills(20, (_AT, 9_000)),
    "HistoryRepository.orders": lambda s: HistoryRepository(s, USER).orders(20, (_AT, 9_000)),
    "NotificationRepository.change_preferences": lambda s: NotificationRepository(s).change_preferences(
        USER, {"notify_order_placed": False}, "asha"
    ),
    "NotificationRepository.deliver_in_app": lambda s: NotificationRepository(s).deliver_in_app(USER, 1),
    "NotificationRepository.get": lambda s: NotificationRepository(s).get(USER, USER),
    "NotificationRepository.mark_read": lambda s: NotificationRepository(s).mark_read(USER, [1, 2]),
    "NotificationRepository.mark_read of all": lambda s: NotificationRepository(s).mark_read(USER, None, 9_000),
    "NotificationRepository.page": lambda s: NotificationRepository(s).page(USER, 20),
    "NotificationRepository.preferences": lambda s: NotificationRepository(s).preferences(USER),
    "NotificationRepository.unread": lambda s: NotificationRepository(s).unread(USER),
    "NotificationRepository.tell": lambda s: NotificationRepository(s).tell(
        [Notice(USER, "order_placed", "info", "t", "m", "new")], 1, "default", 60
    ),
    "OrderRepository.by_tags": lambda s: _orders(s).by_tags([f"t{LIVE}"]),
    "OrderRepository.checked": lambda s: _orders(s).checked([LIVE], _AT),
    "OrderRepository.counts": lambda s: _orders(s).counts(DAY),
    "OrderRepository.failed": lambda s: _orders(s).failed(),
    "OrderRepository.get": lambda s: _orders(s).get(LIVE),
    "OrderRepository.live": lambda s: _orders(s).live(),
    "OrderRepository.plan": lambda s: _orders(s).plan([_NEW_ORDER], _AT),
    "OrderRepository.read": lambda s: _orders(s).read(LIVE),
    "OrderRepository.unmoved": lambda s: _orders(s).unmoved([LIVE], _HOUR),
    "PaperRepository.book": lambda s: PaperRepository(s).book(ACCOUNT, DAY),
    "PaperRepository.by_tag": lambda s: PaperRepository(s).by_tag(ACCOUNT, f"t{LIVE}"),
    "PaperRepository.free_shares": lambda s: PaperRepository(s).free_shares(ACCOUNT, "S1"),
    "PaperRepository.lock": lambda s: PaperRepository(s).lock(ACCOUNT),
    "PaperRepository.resting": lambda s: PaperRepository(s).resting(ACCOUNT),
    "PnlRepository.audit": lambda s: _pnl(s).audit(DAY, _TRADES, day_books([], _AT, {}), 0.1, created=True),
    "PnlRepository.store": lambda s: _pnl(s).store(DAY, _TRADES, day_books([], _AT, {})),
    "PnlRepository.trades": lambda s: _pnl(s).trades(SLOT - 24 * _HOUR, SLOT),
    "PositionRepository.day": lambda s: _positions(s).day(SLOT - 24 * _HOUR, SLOT),
    "PositionRepository.disagreements": lambda s: _positions(s).disagreements(),
    "PositionRepository.open": lambda s: _positions(s).open(),
    "ReentryRepository.fill": lambda s: _reentries(s).fill([FilledRung(HELD, 1, Decimal(1), _AT)]),
    "ReentryRepository.give_back": lambda s: _reentries(s).give_back([HELD]),
    "ReentryRepository.of": lambda s: _reentries(s).of([HELD]),
    "ReentryRepository.take": lambda s: _reentries(s).take([Rung(HELD, LIVE, "S1", 1, 20, 9.0, DAY)]),
    "ServiceStatusRepository.get": lambda s: ServiceStatusRepository(s).get(USER),
    "ServiceStatusRepository.reset_errors": lambda s: ServiceStatusRepository(s).reset_errors(USER, "asha"),
    "ServiceStatusRepository.runs": lambda s: ServiceStatusRepository(s).runs(USER),
    "ServiceStatusRepository.start": lambda s: ServiceStatusRepository(s).start(USER, "asha"),
    "ServiceStatusRepository.stop": lambda s: ServiceStatusRepository(s).stop(USER, "asha"),
    "ServiceTaskRepository.fence": lambda s: ServiceTaskRepository(s).fence(_OWN),
    "ServiceTaskRepository.follow_up": lambda s: ServiceTaskRepository(s).follow_up(
        _OWN, [FollowUp("submit", "orders", "1:1", SLOT, None)]
    ),
    "ServiceTaskRepository.sync_is_queued": lambda s: ServiceTaskRepository(s).sync_is_queued(_OWN, SLOT, SLOT + _HOUR),
    "ServiceTaskRepository.unfinished_subjects": lambda s: ServiceTaskRepository(s).unfinished_subjects(_OWN, "submit"),
    "UserSignalRepository.expire": lambda s: _signals(s).expire(DAY),
    "UserSignalRepository.mark": lambda s: _signals(s).mark("dip", "h1", DAY, {_S1: "active"}),
    "UserSignalRepository.rejected": lambda s: _signals(s).rejected("dip", "h1", DAY),
    "UserTradingConfigRepository.apply_preset": lambda s: UserTradingConfigRepository(s).apply_preset(
        USER, "conservative", "asha", _AT
    ),
    "UserTradingConfigRepository.get": lambda s: UserTradingConfigRepository(s).get(USER),
    "UserTradingConfigRepository.reset": lambda s: UserTradingConfigRepository(s).reset(USER, "asha", _AT),
    "UserTradingConfigRepository.snapshot": lambda s: UserTradingConfigRepository(s).snapshot(USER, 7),
    "UserTradingConfigRepository.task_schedule": lambda s: UserTradingConfigRepository(s).task_schedule(USER),
    "UserTradingConfigRepository.update": lambda s: UserTradingConfigRepository(s).update(
        USER, {"max_portfolio_size": 7, "task_schedule": {"buy_orders": False}}, "asha", _AT
    ),
    "UserTradingConfigRepository.versions": lambda s: UserTradingConfigRepository(s).versions(USER),
}

_ELSEWHERE = OF_FIRINGS | OF_HALTS | OF_IMPORTS | OF_INSPECTIONS | OF_QUEUE | OF_SCHEDULES | OF_SERVICES
OF_THE_SYSTEM: dict[str, Call] = _ELSEWHERE | {
    "AccountRepository.find": lambda s: AccountRepository(s).find(ACCOUNT),
    "AuditLogRepository.newest": lambda s: AuditLogRepository(s).newest(20),
    "AuditLogRepository.newest of a user": lambda s: AuditLogRepository(s).newest(20, USER),
    "AuditLogRepository.record": lambda s: AuditLogRepository(s).record("asha", "update", "config", user_id=USER),
    "BarRepository.count_on": lambda s: BarRepository(s).count_on(DAY),
    "BarRepository.last_closes": lambda s: BarRepository(s).last_closes(DAY, [_S1]),
    "BarRepository.closes_on": lambda s: BarRepository(s).closes_on(DAY),
    "BarRepository.history of some": lambda s: BarRepository(s).history(DAY, 30, [_S1]),
    "BarRepository.store": lambda s: BarRepository(s).store([_BAR]),
    "BarRepository.traded_on": lambda s: BarRepository(s).traded_on(DAY, [_S1]),
    "ErrorLogRepository.newest": lambda s: ErrorLogRepository(s).newest(20),
    "ErrorLogRepository.newest of a user": lambda s: ErrorLogRepository(s).newest(20, user_id=USER, unresolved=True),
    "ErrorLogRepository.newest of a kind": lambda s: ErrorLogRepository(s).newest(20, fingerprint="p7"),
    "ErrorLogRepository.newest of a task": lambda s: ErrorLogRepository(s).newest(20, task_name="nosuch"),
    "ErrorLogRepository.newest of a type": lambda s: ErrorLogRepository(s).newest(20, error_type="nosuch"),
    "ErrorLogRepository.repeats": lambda s: ErrorLogRepository(s).repeats(SLOT, 20),
    "ErrorLogRepository.resolve": lambda s: ErrorLogRepository(s).resolve("asha", "n", ids=[7], fingerprints=["p7"]),
    "ErrorLogRepository.show": lambda s: ErrorLogRepository(s).show(7),
    "LookupRepository.execution": lambda s: LookupRepository(s).execution(RUNNING),
    "LookupRepository.executions": _pages,
    "LookupRepository.order": lambda s: LookupRepository(s).order(LIVE),
    "LookupRepository.orders": lambda s: LookupRepository(s).orders(20, user_id=USER, status="open"),
    "LookupRepository.positions": lambda s: LookupRepository(s).positions(20, user_id=USER, open=True),
    "LookupRepository.user_id": lambda s: LookupRepository(s).user_id("user7@example.in"),
    "LookupRepository.users": lambda s: LookupRepository(s).users(20),
    "MLTrainingJobRepository.close_ended": lambda s: MLTrainingJobRepository(s).close_ended(),
    "MLTrainingJobRepository.newest": lambda s: MLTrainingJobRepository(s).newest(20),
    "MLTrainingJobRepository.show": lambda s: MLTrainingJobRepository(s).show(1),
    "OverviewRepository.accounts": lambda s: OverviewRepository(s).accounts(20),
    "OverviewRepository.counts": lambda s: OverviewRepository(s).counts(),
    "OverviewRepository.failed_orders": lambda s: OverviewRepository(s).failed_orders(),
    "OverviewRepository.live_orders": lambda s: OverviewRepository(s).live_orders(),
    "OverviewRepository.moment": lambda s: OverviewRepository(s).moment(),
    "OverviewRepository.queued": lambda s: OverviewRepository(s).queued(),
    "OverviewRepository.waiting": lambda s: OverviewRepository(s).waiting(),
    "OverviewRepository.workers": lambda s: OverviewRepository(s).workers(),
    "RetentionRepository.delete_read_notifications": lambda s: RetentionRepository(s).delete_read_notifications(9, 500),
    "RetentionRepository.delete_healings": lambda s: RetentionRepository(s).delete_healings(9, 500),
    "RetentionRepository.delete_resolved_errors": lambda s: RetentionRepository(s).delete_resolved_errors(9, 500),
    "RetentionRepository.oldest_slot": lambda s: RetentionRepository(s).oldest_slot(),
    "RetentionRepository.thin": lambda s: RetentionRepository(s).thin(DAY, SLOT - 24 * _HOUR, SLOT, 3, 500),
    "RetentionRepository.thinned_until": lambda s: RetentionRepository(s).thinned_until(),
    "ScheduleRepository.next_moment": lambda s: ScheduleRepository(s).next_moment(),
    "ServiceLogRepository.newest": lambda s: ServiceLogRepository(s).newest(SLOT - 24 * _HOUR, 20),
    "ServiceLogRepository.newest of a user": lambda s: ServiceLogRepository(s).newest(SLOT - _HOUR, 20, user_id=USER),
    "ServiceLogRepository.newest of an execution": lambda s: ServiceLogRepository(s).newest(SLOT, 9, execution_id=7),
    "ServiceLogRepository.newest of a module": lambda s: ServiceLogRepository(s).newest(SLOT - _HOUR, 9, module="n"),
    "ServiceLogRepository.newest with words": lambda s: ServiceLogRepository(s).newest(SLOT - _HOUR, 9, words="gone"),
    "ServiceLogRepository.store": lambda s: ServiceLogRepository(s).store([_LINE]),
    "ServiceStatusRepository.beat": lambda s: ServiceStatusRepository(s).beat(100),
    "ServiceTaskRepository.sync_ended": lambda s: ServiceTaskRepository(s).sync_ended(
        _OWN, "orders", DAY, SLOT, SLOT + _HOUR
    ),
    "ServiceTaskRepository.request": lambda s: ServiceTaskRepository(s).request("train", "ml", "1", SLOT, _AT),
    "SignalRepository.candidates": lambda s: SignalRepository(s).candidates("dip", "h1", DAY),
    "SignalRepository.newest": lambda s: SignalRepository(s).newest("dip", "h1", DAY),
    "SignalRepository.shares": lambda s: SignalRepository(s).shares("dip", "h1", DAY, [_S1]),
    "SignalRepository.snapshot_version": lambda s: SignalRepository(s).snapshot_version("dip", "h1", DAY),
    "SignalRepository.store": lambda s: SignalRepository(s).store(Analysis("dip", "h1", DAY, "x", {}, {}, None, [])),
    "UserRepository.add_paper_account": lambda s: UserRepository(s).add_paper_account(USER, "third", DEFAULTS, _AT),
    "UserRepository.sign_up": lambda s: UserRepository(s).sign_up("new@example.in", "n", DEFAULTS, _AT),
    "WorkerRepository.end": lambda s: WorkerRepository(s).end(["dead", "old1"]),
    "WorkerRepository.overdue": lambda s: WorkerRepository(s).overdue(["w1"], {"sell_monitor": 180.0}),
}

# Of these, every statement reads tables that stay small.
_SMALL_ELSEWHERE = (
    OF_BATCHES
    | SMALL_OF_FIRINGS
    | SMALL_OF_HALTS
    | SMALL_OF_INSPECTIONS
    | SMALL_OF_QUEUE
    | SMALL_OF_SCHEDULES
    | SMALL_OF_SERVICES
)
SMALL: dict[str, str] = _SMALL_ELSEWHERE | {
    "CalendarRepository.days": "a row a holiday",
    "ArtifactRepository": "a row a model, found by its hash",
    "CalendarRepository": "some hundred sessions a decade, always read whole",
    "ClockRepository": "one row",
    "MLModelRepository": "a row a trained version, and one a user",
    "PartitionRepository": "the catalogue",
    "SchedulerRepository": "a row a process",
    "AccountRepository.open": "inserts, as of a sign-up",
    "BarRepository.coverage": "a row a day",
    "BarRepository.days_since": "a row a day",
    "BarRepository.last_whole_day": "a row a day",
    "BarRepository.loaded_at": "a row a day",
    "BarRepository.price_day": "a row a day",
    "BarRepository.store_day": "a row a day",
    "MLTrainingJobRepository.lock": "a row a training",
    "MLTrainingJobRepository.log": "a row a training",
    "MLTrainingJobRepository.repeat": "a row a training",
    "MLTrainingJobRepository.request": "a row a training",
    "MLTrainingJobRepository.takers": "a row a process of the last weeks",
    "OverviewRepository.faults": "a row a schedule",
    "OverviewRepository.schedulers": "a row a process",
    "ScheduleRepository.market_now": "one row",
    "ScheduleRepository.plan": "a row a schedule",
    "ScheduleRepository.replan": "a row a schedule",
    "ScheduleRepository.seed": "a row a schedule",
    "SubscriptionRepository.subscribe": "inserts, as of a sign-up",
    "SubscriptionRepository.switch_tasks": "a row an account and schedule",
    "SubscriptionRepository.tasks_of": "a row an account and schedule",
    "ScheduleRepository.unplanned": "a row a schedule",
    "RetentionRepository.delete_ended_processes": "a row a process of the last weeks",
    "RetentionRepository.drop_service_logs": "the catalogue",
    "ServiceStatusRepository.page": "a row a user",
    "UserRepository.admins": "a row a user",
    "UserTradingConfigRepository.create": "inserts, as of a sign-up",
    "UserTradingConfigRepository.delete": "a row a user",
    "UserTradingConfigRepository.parameters": "a row a parameter set",
    "WorkerRepository.cut": "the server's own list of connections",
    "WorkerRepository.dead": "a row a process of the last weeks",
    "WorkerRepository.expire": "a row a process of the last weeks",
    "WorkerRepository.lock_dead": "a row a process of the last weeks",
    "WorkerRepository.register": "a row a process of the last weeks",
    "WorkerRepository.renew": "a row a process of the last weeks",
}

# These are meant to read most of a large table.
WHOLE: dict[str, str] = WHOLE_OF_SCHEDULES | {
    "BarRepository.after": "the bars of a span of days of every symbol, for outcomes to learn from",
    "BarRepository.history": "the bars of every symbol, for the analysis of the whole market",
    "BarRepository.stale": "a year of bars of every symbol, for an operator",
    "BarRepository.store_days": "every bar of a past that was loaded at once",
    "OverviewRepository.tasks": "the executions of the day, which may be most of a young table",
}

# These find a user's rows without naming the user.
WITHOUT_USER: dict[str, str] = {
    "HistoryRepository.error": "by the key of a row that was found by its user",
    "ServiceTaskRepository.fence": "by the key of the execution itself",
    "UserTradingConfigRepository.apply_preset": "by the key of a row that was found by its user",
    "UserTradingConfigRepository.reset": "by the key of a row that was found by its user",
    "UserTradingConfigRepository.update": "by the key of a row that was found by its user",
}
