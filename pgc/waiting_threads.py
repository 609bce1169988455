# SPDX-License-Identifier: Apache-2.0
"""How torch's threads wait for one another on the CPU: they spin for a moment, then sleep.

Torch divides each operator among threads, which meet at its end. By default the ones that are done first spin. Where
another program keeps a core busy, as Blender does, the thread that all wait for has lost that core, perhaps to a
spinning one, and a step takes many times as long. But one that sleeps at once has to be woken hundreds of times a step:
on an idle machine two threads then are no faster than one. Most meet within some ten microseconds; so long it spins.
What spins in the wheels of torch 2.13, and what it is asked for:

    Linux    GNU's libgomp.so.1      GOMP_SPINCOUNT, looks at the other threads; it goes before OMP_WAIT_POLICY
    Windows  Intel's libiomp5md.dll  OMP_WAIT_POLICY, which sets the time to spin (KMP_BLOCKTIME) to zero
    macOS    LLVM's libomp.dylib     the same

The count was measured (`python -m tests.benchmarks.card.thread_waits`): more is faster alone, and slower beside others.
An OpenMP library reads its variables once, when it is loaded: this module imports nothing, and is to be called before
torch is imported.
"""

from collections.abc import MutableMapping

__all__ = ["let_threads_sleep"]

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_ASKED = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


def let_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Asks for threads that soon sleep while they wait, unless the user has chosen how they wait."""
    if not any(name in environment for name in _CHOICES):
        environment.update(_ASKED)
