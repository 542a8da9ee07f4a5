"""The house keeps its own rules: floors, sizes, locks and the processes of the Procfile."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "trading", "db", "adapters", "worker", "scheduler", "ops", "migrations")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LOCKS = ("requirements.txt", "requirements-dev.txt")

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]+\])?==")


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from sorted((ROOT / room).rglob("*.py"))


def pins(lock: str) -> dict[str, str]:
    """Return the locked packages: name -> its whole entry, hashes included. A package may be pinned per platform."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text()):
        if match := _PIN.match(entry):
            name = match["name"].lower()
            found[name] = found.get(name, "") + entry
    return found


def processes() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def test_imports_only_go_down() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    files = [path for path in sources(*ROOMS, "tests") if path.parent.name != "versions"]  # one schema, one migration
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {path: size for path, size in sizes.items() if size > LONGEST_FILE} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources(*(room for room in ROOMS if room != "migrations"))  # a migration is a table of columns
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locked_requirements_name_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"^.*(?:://|file:|@ |--index|--extra-index|--find-links|-f |\s/\w).*$", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_a_version_and_hashes(lock: str) -> None:
    assert len(pins(lock)) > 20
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line and not line.startswith((" ", "#"))]
    assert [line for line in lines if not _PIN.match(line)] == []
    assert [name for name, entry in pins(lock).items() if "--hash=sha256:" not in entry] == []


def test_development_installs_what_runs() -> None:
    runs, develops = (pins(lock) for lock in LOCKS)

    def versions(entry: str) -> set[str]:
        return set(re.findall(r"==([^\s;\\]+)", entry))

    assert {name for name in runs if versions(runs[name]) != versions(develops.get(name, ""))} == set()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~;, ]", text)[0].lower() for text in requirements}

    assert names(project["dependencies"]) - pins("requirements.txt").keys() == set()
    assert names(project["optional-dependencies"]["dev"]) - pins("requirements-dev.txt").keys() == set()


def test_the_procfile_names_the_processes_of_the_platform() -> None:
    assert list(processes()) == ["release", "scheduler", "worker", "strategy", "ml"]


@pytest.mark.parametrize("name", ["release", "scheduler", "worker", "strategy", "ml"])
def test_a_process_of_the_procfile_is_a_module_that_exists(name: str) -> None:
    python, option, module, *_ = shlex.split(processes()[name])
    assert (python, option) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None


def test_the_procfile_serves_every_queue_once() -> None:
    served = [queue for text in processes().values() for queue in re.findall(r"--queues (\S+)", text)]
    assert sorted(",".join(served).split(",")) == ["default", "ml", "orders", "strategy"]


def test_no_address_of_a_machine_is_in_the_house() -> None:
    files = [*sources(*ROOMS), ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
    foreign = re.compile(r"/(?:root|home|opt|work)/\w")
    assert [str(path.relative_to(ROOT)) for path in files if foreign.search(path.read_text())] == []
