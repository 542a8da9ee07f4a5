"""Writes the folders of one account: `data/` of the live service, `paper_trading/unified_service/` of the paper one."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from db.export_rows import ExportRepository
from ops.exporters import paper
from ops.exporters.orders import failed_record, pending_record
from ops.exporters.reading import positions, walked
from ops.exporters.tracked import new_tracking, tracking_record
from ops.exporters.trades import trade_record
from ops.exporters.writing import listed, said, stamp, written
from ops.importers import pending_file, tracked_file, trades_file
from ops.importers.files import LIVE_FILES
from ops.importers.paper_files import ACCOUNT, CONFIG, HOLDINGS, ORDERS, SELLS, TRADES
from trading.config import TradingConfig

Row = Mapping[str, Any]
Takes = Callable[[Row], bool]

LIVE_FOLDER, PAPER_FOLDER = Path("data"), Path("paper_trading/unified_service")


@dataclass(slots=True)
class Told:
    """Who hears of each row that was read. records: how many were written to each file."""

    read: Callable[[], None]
    records: dict[str, int] = field(default_factory=dict)

    def wrote(self, path: Path) -> None:
        """Count a record of a file."""
        name = str(path)
        self.records[name] = self.records.get(name, 0) + 1


async def write_live(folder: Path, rows: ExportRepository, takes: Takes, now: datetime, told: Told) -> None:
    """Write trades, waiting orders and tracked shares. takes: whether a position or order is of the live service."""
    data = folder / LIVE_FOLDER
    with ExitStack() as files:
        history = files.enter_context(written(data / LIVE_FILES[trades_file.KIND]))
        pending = files.enter_context(written(data / LIVE_FILES[pending_file.KIND]))
        history.write('{"trades": ')
        with listed(history) as add:
            async for position, deals in positions(rows):
                told.read()
                if takes(position):
                    add(trade_record(position, deals))
                    told.wrote(LIVE_FOLDER / LIVE_FILES[trades_file.KIND])
        history.write(', "failed_orders": ')
        pending.write('{"orders": ')
        with listed(history) as add_failed, listed(pending) as add_pending:
            async for order in walked(rows.loose_orders, "created_at", "id"):
                told.read()
                if takes(order) and (failed := failed_record(order)) is not None:
                    add_failed(failed)
                    told.wrote(LIVE_FOLDER / LIVE_FILES[trades_file.KIND])
                elif takes(order) and (record := pending_record(order)) is not None:
                    add_pending(record)
                    told.wrote(LIVE_FOLDER / LIVE_FILES[pending_file.KIND])
        history.write(f', "last_run": {said(stamp(now))}}}\n')
        pending.write("}\n")
    await _write_tracked(folder, rows, takes, told)


async def _write_tracked(folder: Path, rows: ExportRepository, takes: Takes, told: Told) -> None:
    path = LIVE_FOLDER / LIVE_FILES[tracked_file.KIND]
    with written(folder / path, "utf-8-sig") as file:
        file.write('{"symbols": ')
        with listed(file) as add:
            async for row in walked(rows.tracked, "id"):
                add(tracking_record(row))
                told.wrote(path)
            async for row in walked(rows.untracked, "symbol"):
                if takes(row):
                    add(new_tracking(row))
                    told.wrote(path)
        file.write("}\n")


async def write_paper(
    folder: Path, rows: ExportRepository, takes: Takes, account: Row, config: TradingConfig, now: datetime, told: Told
) -> None:
    """Write orders, trades, holdings, offers, money and configuration. takes: whether a row is of the paper service."""
    home = folder / PAPER_FOLDER
    offers: dict[str, Any] = {}
    with ExitStack() as files:
        add_order = files.enter_context(listed(files.enter_context(written(home / ORDERS))))
        add_trade = files.enter_context(listed(files.enter_context(written(home / TRADES))))
        async for order in walked(rows.orders, "created_at", "id"):
            told.read()
            if not takes(order):
                continue
            add_order(paper.order_record(order))
            told.wrote(PAPER_FOLDER / ORDERS)
            for trade in paper.trade_records(order):
                add_trade(trade)
                told.wrote(PAPER_FOLDER / TRADES)
            if (offer := paper.offer_record(order)) is not None:
                offers[order["symbol"]] = offer
    holdings = {
        one["symbol"]: paper.holding_record(one, now)
        async for one in walked(rows.open_positions, "symbol")
        if takes(one)
    }
    for name, value in {
        HOLDINGS: holdings,
        SELLS: offers,
        ACCOUNT: paper.account_record(account, await rows.earned(), config, now),
        CONFIG: paper.config_record(config),
    }.items():
        with written(home / name) as file:
            file.write(said(value) + "\n")
        told.records[str(PAPER_FOLDER / name)] = len(value) if name in (HOLDINGS, SELLS) else 1
