# SPDX-License-Identifier: Apache-2.0
"""How torch's threads wait for one another on the CPU: asleep.

Torch divides each operator among threads, which meet at its end. By default the ones that are done first spin. Where
another program keeps a core busy, as Blender does, the thread that all wait for has lost that core, perhaps to a
spinning one, and a step takes many times as long. What spins in the wheels of torch 2.13, and what is asked to stop:

    Linux    GNU's libgomp.so.1      OMP_WAIT_POLICY
    Windows  Intel's libiomp5md.dll  OMP_WAIT_POLICY, which sets the time to spin (KMP_BLOCKTIME) to zero
    macOS    LLVM's libomp.dylib     the same

An OpenMP library reads its variables once, when it is loaded: this module imports nothing, and is to be called before
torch is imported.
"""

from collections.abc import MutableMapping

__all__ = ["let_threads_sleep"]

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def let_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Asks for threads that sleep while they wait, unless the user has chosen how they wait."""
    if not any(name in environment for name in _CHOICES):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
