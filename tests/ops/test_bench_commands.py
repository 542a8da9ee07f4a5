"""`muhurat bench` as people use it: servers of its own, figures, bars, and an exit code that says whether they hold."""

import json
from pathlib import Path

import pytest

from ops.cli import run


def test_an_import_is_measured_on_servers_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Whatever the shell names is not looked at.
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@nowhere.invalid/none")
    code = run(["bench", "import", "--trades", "60", "--rounds", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if report["holds"] else 1)
    assert report["bars"].keys() == {"trades_per_s", "rss_mb", "dry_run_ratio"}
    figures = report["figures"]
    # Whether bars hold is no matter of a test: a process that was forked counts what its parent held.
    assert (figures["trades"], figures["rss_mb"] > 20, figures["rows"] > 300) == (60, True, True)
    assert {"postgres", "sqlalchemy", "asyncpg"} <= report["versions"].keys()
    assert not (tmp_path / ".muhurat" / "bench" / "trades_history.json").exists()
