"""What commands read without the settings' classes means the same as what the settings say."""

import pytest

from config.environment import lease_here, local_wanted
from config.servers import SettingsError
from config.settings import WorkerSettings


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), (" Yes ", True), ("on", True), ("0", False), ("false", False), ("", False)]
)
def test_local_is_asked_for_in_the_usual_words(value: str, wanted: bool) -> None:
    assert local_wanted({"MUHURAT_LOCAL": value}) is wanted


def test_without_a_word_local_is_not_asked_for() -> None:
    assert local_wanted({}) is False


@pytest.mark.parametrize("value", ["", "1", "2.5", "300"])
def test_a_lease_is_as_long_as_the_workers_take_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUHURAT_WORKER_LEASE_SECONDS", value)
    assert lease_here() == WorkerSettings().lease_seconds


@pytest.mark.parametrize("value", ["0.5", "301", "soon", "nan"])
def test_a_lease_that_no_worker_takes_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUHURAT_WORKER_LEASE_SECONDS", value)
    with pytest.raises(SettingsError, match="use a number from 1 to 300"):
        lease_here()
