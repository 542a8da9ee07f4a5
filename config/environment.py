"""The few settings that every command needs, read without the settings' classes, which take a while to load.

`config/settings.py` has the others; what is said here it takes from here.
"""

import os
from collections.abc import Mapping

from config.servers import ServerUrls, SettingsError, hide_password, server_urls

LOCAL, LEASE = "MUHURAT_LOCAL", "MUHURAT_WORKER_LEASE_SECONDS"

# How long a worker process may be silent before its work is taken back, in seconds.
LEASE_SECONDS, SHORTEST_LEASE, LONGEST_LEASE = 6.0, 1, 300

_YES, _NO = {"1", "true", "t", "yes", "y", "on"}, {"0", "false", "f", "no", "n", "off"}


def servers_here() -> ServerUrls | None:
    """Return the addresses this process's environment names; None means embedded servers. Raises SettingsError."""
    return server_urls(os.environ, local=local_wanted(os.environ))


def local_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether MUHURAT_LOCAL asks for embedded servers. Raises SettingsError."""
    value = environment.get(LOCAL) or "0"
    if value.strip().lower() not in _YES | _NO:
        raise SettingsError(LOCAL, hide_password(value), "use a boolean: 1 or 0")
    return value.strip().lower() in _YES


def lease_here() -> float:
    """Return how long a worker's lease is by this process's environment, in seconds. Raises SettingsError."""
    value = os.environ.get(LEASE) or str(LEASE_SECONDS)
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        raise SettingsError(LEASE, hide_password(value), f"use a number from {SHORTEST_LEASE} to {LONGEST_LEASE}")
    return seconds
