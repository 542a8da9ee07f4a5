"""The `muhurat` command: the one door for people. Errors are told here, in one line, and nowhere else."""

import gc
import signal
import sys
import traceback
from collections.abc import Sequence

import typer

from ops.cli.app import app

DEBUG = "--debug"
INTERRUPTED = 130  # 128 and the number of SIGINT
# Python looks for circles after each 700 new objects; while a command loads its modules that is a tenth of its start.
_COLLECT_AFTER = (20_000, 10, 10)


def main() -> None:
    """Run the command of this process's arguments and end the process with its exit code."""
    _listen()
    gc.set_threshold(*_COLLECT_AFTER)
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code: 0, 1 failed, 2 bad input, 130 interrupted."""
    debug = DEBUG in arguments
    try:
        code = app([word for word in arguments if word != DEBUG], standalone_mode=False, prog_name="muhurat")
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where any error becomes a line
        return _tell(error, debug=debug)
    if code == INTERRUPTED:
        sys.stderr.write("interrupted: everything that was started has been stopped\n")
    return code if isinstance(code, int) else 0


def _listen() -> None:
    """Treat TERM and a closed terminal as Ctrl-C, so that there is one way to stop; hear it as a background job too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda *_: signal.raise_signal(signal.SIGINT))


def _tell(error: Exception, *, debug: bool) -> int:
    from ops.cli.errors import FAILED, explain  # it knows every library's errors, and so loads them all

    if debug:
        traceback.print_exception(error)
    said = explain(error)
    if said is None:
        where = "the trace is above" if debug else "run it again with --debug and report the trace"
        line = " ".join(str(error).split())
        said = f"unexpected {type(error).__name__}: {line}; {where}", FAILED
    text, code = said
    sys.stderr.write(f"error: {text}\n")
    return code
