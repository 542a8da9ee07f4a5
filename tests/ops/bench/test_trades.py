"""The file that the bench of imports brings in."""

import json
from pathlib import Path

import pytest

from ops.bench.trades import write_trades


def test_the_same_seed_writes_the_same_history_and_another_seed_another(tmp_path: Path) -> None:
    written = []
    for number, seed in enumerate((7, 7, 8)):
        path = tmp_path / str(number)
        write_trades(path, 50, seed)
        written.append(path.read_text(encoding="utf-8"))
    assert (written[0] == written[1], written[0] == written[2]) == (True, False)


@pytest.mark.parametrize("again", [0, 0.34, 1, 1.3])
def test_trades_are_closed_and_took_as_many_levels_as_was_asked_for(tmp_path: Path, again: float) -> None:
    write_trades(tmp_path / "t.json", 2000, 7, again)
    trades = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["trades"]
    assert {one["status"] for one in trades} == {"closed"}
    assert sum(len(one["reentries"]) for one in trades) / 2000 == pytest.approx(again, abs=0.05)
    assert {len(one["reentries"]) for one in trades} <= {0, 1, 2}
