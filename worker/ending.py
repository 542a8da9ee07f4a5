"""How worker processes end: by which signals, with which codes, and within how many seconds."""

import signal

# A platform kills the whole group so long after its TERM.
PLATFORM_SECONDS = 30.0

# A process: an idle read hears of the end, what runs may end (settings: at most 14 s), outcomes are settled,
# connections closed, the last lines written.
HEAR_SECONDS = 0.5
SETTLE_SECONDS = 8.0
CLOSE_SECONDS = 1.0
LOG_SECONDS = 1.0

# Its supervisor waits so long for that; then it kills what is left, and reaps it: at once, unless the kernel holds it.
STOP_SECONDS = 25.0
REAP_SECONDS = 0.5
# It writes who ended; without that their work comes back when the leases end. Its own connections and lines come last.
LAST_WORD_SECONDS = 1.0

# A process's exit code that says: not with these settings. Starting it again would not help.
REFUSED = 2
# It cannot go on; a new one can.
BROKEN = 1


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a process to end: TERM, INT and the HUP of a terminal that closes.

    Under `nohup` HUP is ignored, and stays so. Each may come any number of times; stopping once is enough.
    """
    stops = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stops.append(signal.SIGHUP)
    return stops
