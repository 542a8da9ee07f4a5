"""What people see of an import that takes its time, without a terminal: a line now and then."""

import time
from dataclasses import dataclass

import pytest

from ops.cli import importing
from ops.importers.orders import Ground
from ops.importers.source import Source, Told


@dataclass(frozen=True)
class _Found:
    label: str
    size: int
    unit: str
    kind: str = "trades-history"

    def open(self, ground: Ground, told: Told) -> Source:
        raise NotImplementedError


@pytest.mark.parametrize(("unit", "size"), [("bytes", 80_000_000), ("records", 8_000)])
def test_a_long_import_says_how_far_it_is_how_fast_and_how_long_it_will_take(
    unit: str, size: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with importing._bar(quiet=False) as bar:
        bar.begins(_Found("trades_history.json", size, unit))
        for _ in range(4_000):
            bar.settled()
        now = 101.0
        bar.read(size // 10)
        assert capsys.readouterr().err == ""
        now = 110.0
        bar.read(size // 4)
        bar.read(size // 2)
    said = capsys.readouterr().err
    assert said == "trades_history.json: 25 % read, 400 records/s, 30 s left\n"
