"""A worker process that takes no work: it lives until TERM, or ends as its environment tells it."""

import os
import signal

CODE = "MUHURAT_TEST_CODE"

if __name__ == "__main__":
    if os.environ.get(CODE):
        raise SystemExit(int(os.environ[CODE]))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.pause()
