# SPDX-License-Identifier: Apache-2.0
"""Workers on the machines of a Ray cluster; the gate stays here.

    pgc-server start --executor ray --workers 8

Every worker has a process here that stands for it (`ray_relay`), so that the broker sees what it always sees: a process
that it starts, watches and ends.
"""

from __future__ import annotations

import importlib.util
import os
import sys

from server.children.local_executor import LocalChild, LocalExecutor
from server.children.ray_relay import check_token
from server.config import ServerPaths
from server.errors import ConfigError

__all__ = ["RayExecutor", "check_ray"]

_MODULES = {"gate": "server.gate", "worker": "server.children.ray_relay"}


def check_ray() -> None:
    """Raises `ConfigError` where Ray is not installed, or asks for no token."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("Ray is not installed; run: pip install 'pgc-texture[ray]', or leave --executor out.")
    check_token(dict(os.environ))


class RayExecutor:
    """Runs gates here, and workers where the cluster has room."""

    def __init__(self, paths: ServerPaths, python: str = sys.executable) -> None:
        """Raises `ConfigError` as `check_ray` does."""
        check_ray()
        self._local = LocalExecutor(paths, python, _MODULES)

    def spawn(self, role: str, index: int) -> LocalChild:
        """Starts a process of this machine, which finds a machine for a worker; see `Executor.spawn`."""
        return self._local.spawn(role, index)
