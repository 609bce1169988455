# SPDX-License-Identifier: Apache-2.0
"""How pgc-server's commands end when something is wrong: as pgc's do."""

from __future__ import annotations

from pgc.terminal.failures import FailureReporter
from server.errors import ServerError

__all__ = ["reports_failures"]

reports_failures = FailureReporter("pgc-server", ServerError)
