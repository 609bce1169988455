# SPDX-License-Identifier: Apache-2.0
"""The real worker with one defect: a job of `HANG_STEPS[kind]` steps never comes back from the C code of its third.

`lock`: C code that keeps Python's lock, so that no thread of the process runs any more. `free`: C code without it.
`stopped`: the whole process stands still, and takes no signal but the last one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

HANG_STEPS = {"lock": 1001, "free": 1002, "stopped": 1003}
_AT_STEP = 3
_HOURS = 36_000


def hang(kind: str) -> None:
    """Do not come back."""
    if kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    # PyDLL calls with Python's lock, CDLL without.
    library = ctypes.PyDLL(None) if kind == "lock" else ctypes.CDLL(None)
    library.sleep(_HOURS)


def plant() -> None:
    """Put the defect into the optimisation."""
    from pgc.optimization.loop import Optimization

    advance = Optimization.advance
    kinds = {steps: kind for kind, steps in HANG_STEPS.items()}

    def defective(self: Optimization) -> object:
        if self.step == _AT_STEP and self.config.steps in kinds:
            hang(kinds[self.config.steps])
        return advance(self)

    Optimization.advance = defective  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    from server.worker.__main__ import main

    plant()
    sys.exit(main())
