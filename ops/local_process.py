"""How a server of ours is started, dies with its parent, and is stopped. Knows nothing of Postgres or Valkey."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EACCES, ENOTDIR
from hashlib import sha256
from pathlib import Path
from typing import IO, TypedDict

START_LIMIT_SECONDS = 20.0
STOP_LIMIT_SECONDS = 15.0

# The system's limit is 104 (macOS) to 108 (Linux) bytes for the whole path of a socket.
_LONGEST_SOCKET_BYTES = 100
_PR_SET_PDEATHSIG = 1
_PAUSE_SECONDS = 0.01

# Loaded before any fork: between fork and exec nothing may take a lock.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class LocalServerError(Exception):
    """An embedded server cannot be started or stopped: what, where and the cure, on one line."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user a server runs as. None of both: the one that runs us."""

    uid: int | None = None
    gid: int | None = None


class Circumstances(TypedDict):
    """What `subprocess` is told about the user, the place and the end of a process."""

    cwd: Path
    env: dict[str, str]
    start_new_session: bool
    preexec_fn: Callable[[], None]
    user: int | None
    group: int | None
    extra_groups: list[int] | None


def owner_for(data: Path) -> Owner:
    """Return who may run a server that refuses root: the owner of its data, else nobody; ourselves when not root."""
    if os.geteuid() != 0:
        return Owner()
    if data.exists() and data.stat().st_uid != 0:
        return Owner(data.stat().st_uid, data.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return Owner(nobody.pw_uid, nobody.pw_gid)


def make_folder(path: Path, owner: Owner | None = None, *, mode: int = 0o700) -> Path:
    """Create a folder, with its owner and mode if it is new. Raises LocalServerError when it cannot be written."""
    try:
        if not path.exists():
            path.mkdir(parents=True, mode=mode)
            path.chmod(mode)  # whatever the umask says
            if owner is not None and owner.uid is not None and owner.gid is not None:
                os.chown(path, owner.uid, owner.gid)
        if not path.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except OSError as error:
        raise LocalServerError(
            f"cannot write to {path}: {(error.strerror or str(error)).lower()}; "
            "work from a folder that you may write to, or remove this one if another user made it"
        ) from error
    return path


def open_way(path: Path, owner: Owner) -> None:
    """Let another system user pass through the folders above a path; nothing becomes readable."""
    if owner.uid is None:
        return
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def socket_folder(data: Path, name: str, owner: Owner) -> Path:
    """Return where a server of this data puts its socket: with the data, or in a short place if that path is long.

    The same data always gives the same folder. Raises LocalServerError when the short place is not ours.
    """
    if len(os.fsencode(data / name)) <= _LONGEST_SOCKET_BYTES:
        return data
    place = Path(tempfile.gettempdir())
    if len(os.fsencode(place)) > _LONGEST_SOCKET_BYTES // 2:
        place = Path("/tmp")  # noqa: S108 - the only short place there is; the folder below is ours alone
    folder = place / f"muhurat-{sha256(os.fsencode(data)).hexdigest()[:12]}"
    expected = os.geteuid() if owner.uid is None else owner.uid
    make_folder(folder, owner)
    if folder.is_symlink() or folder.stat().st_uid != expected:
        raise LocalServerError(f"{folder} belongs to another user; remove it")
    return folder


def spawn(
    command: Sequence[str | Path], *, owner: Owner, death_signal: signal.Signals, output: IO[bytes] | int, cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a process in its own group, so that Ctrl-C reaches us first, with an environment of its own.

    death_signal: what the kernel sends it when the thread that called this ends, however it ends (Linux only):
    call it from the main thread.
    """
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        **as_owner(owner, cwd, death_signal),
    )


def as_owner(owner: Owner, cwd: Path, death_signal: signal.Signals = signal.SIGTERM) -> Circumstances:
    """Return what every process of ours is started under."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # the parent died before the kernel was told
                os._exit(1)

    return {
        "cwd": cwd,
        # PGHOST and its like must not reach an embedded server; an unknown LANG stops Valkey.
        "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        "start_new_session": True,
        "preexec_fn": die_with_parent,
        "user": owner.uid,
        "group": owner.gid,
        "extra_groups": None if owner.uid is None else [],
    }


def wait_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], what: str, log: Path) -> None:
    """Wait until a server answers. Raises LocalServerError with its last words when it ends or takes too long."""
    until = time.monotonic() + START_LIMIT_SECONDS
    while not ready():
        if process.poll() is not None:
            raise LocalServerError(f"{what} ended at its start: {last_words(log.read_bytes())} (all of it in {log})")
        if time.monotonic() > until:
            raise LocalServerError(f"{what} did not answer in {START_LIMIT_SECONDS:.0f} s: see {log}")
        time.sleep(_PAUSE_SECONDS)


def wait_gone(alive: Callable[[], bool], seconds: float = STOP_LIMIT_SECONDS) -> bool:
    """Wait until something is no longer alive. Returns whether it is gone."""
    until = time.monotonic() + seconds
    while alive():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def stop(process: subprocess.Popen[bytes], first: signal.Signals, then: signal.Signals) -> None:
    """Ask a process to end, tell it if it does not, and reap it."""
    for sign in (first, then, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def last_words(said: bytes) -> str:
    """Return the last line of an output that says something."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
