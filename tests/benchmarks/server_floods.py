# SPDX-License-Identifier: Apache-2.0
"""Each flood of a client that has a key, beside another client's PINGs: what it costs that one, and what memory.

    python -m tests.benchmarks.server_floods --out tests/benchmarks/results/server_floods.json

The broker and the gate are the real ones. Each attack meets a fresh server. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zmq

from blender_addon.protocol.messages import Ping, Pong
from tests.benchmarks.conditions import Conditions, quantile
from tests.benchmarks.flooder import ATTACKS, SECONDS, Flooder, name_of
from tests.benchmarks.raw_client import RawClient
from tests.benchmarks.standin_broker import ROOT, StandinServer

PING_TARGET, MEMORY_TARGET = 0.05, 300 << 20
_INTERVAL = 0.02
_LONGEST = 60.0
_MIB = 1 << 20


class Victim:
    """PINGs on both channels, one after the other, at a steady pace."""

    def __init__(self, server: StandinServer) -> None:
        self._server = server
        self._context = zmq.Context()
        self._raw = RawClient(self._context, server.address(server.users[0]))
        self._raw.hello()
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self.resident = 0

    def ping_while(self, goes_on: Callable[[], bool]) -> None:
        """Until it does not, or `_LONGEST` is over."""
        end = time.monotonic() + _LONGEST
        number = 0
        while goes_on() and time.monotonic() < end:
            for bulk in (False, True):
                number += 1
                begun = time.monotonic()
                assert self._raw.ask(Ping(number), Pong, bulk=bulk, timeout=15.0).n == number
                self.seconds[bulk].append(time.monotonic() - begun)
            self.resident = max(self.resident, self._server.resident)
            time.sleep(_INTERVAL)

    def close(self) -> None:
        """Close the sockets."""
        self._raw.close()
        self._context.term()


def measure(attack: Callable[[Flooder], None], seconds: float = SECONDS) -> dict[str, Any]:
    """One attack of so many seconds on one server."""
    with StandinServer(users=2) as server:
        victim = Victim(server)
        quiet_until = time.monotonic() + 1.0
        victim.ping_while(lambda: time.monotonic() < quiet_until)
        before, quiet = server.resident, max(victim.seconds[False])
        victim.seconds = {False: [], True: []}
        command = [sys.executable, "-m", "tests.benchmarks.flooder", name_of(attack), str(seconds)]
        flooder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
        assert flooder.stdin is not None
        flooder.stdin.write(json.dumps(asdict(server.address(server.users[1]))) + "\n")
        flooder.stdin.flush()
        victim.ping_while(lambda: flooder.poll() is None)
        flooder.stdin.close()
        flooder.kill()
        flooder.wait()
        after_until = time.monotonic() + 1.0
        victim.ping_while(lambda: time.monotonic() < after_until)
        after = server.resident
        victim.close()
    return {
        "quiet_most_ms": round(1000 * quiet, 1),
        "control_ms": _trips(victim.seconds[False]),
        "bulk_ms": _trips(victim.seconds[True]),
        "resident_before_mib": round(before / _MIB, 1),
        "resident_most_mib": round(victim.resident / _MIB, 1),
        "resident_after_mib": round(after / _MIB, 1),
    }


def _trips(seconds: Sequence[float]) -> dict[str, float]:
    shares = {"median": 0.5, "p99": 0.99, "most": 1.0}
    return {"count": len(seconds), **{name: round(1000 * quantile(seconds, at), 1) for name, at in shares.items()}}


def missed(table: dict[str, dict[str, Any]]) -> list[str]:
    """Targets that were missed."""
    found: list[str] = []
    for name, row in table.items():
        for channel in ("control_ms", "bulk_ms"):
            if row[channel]["p99"] > 1000 * PING_TARGET:
                found.append(f"{name}: p99 of {row[channel]['p99']} ms ({channel}); expected {1000 * PING_TARGET:g}")
        if row["resident_most_mib"] > MEMORY_TARGET / _MIB:
            found.append(f"{name}: {row['resident_most_mib']} MiB; expected {MEMORY_TARGET / _MIB:g} at most")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help=f"names of attacks of about {SECONDS:g} s each; all by default")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    conditions = Conditions()
    chosen = [attack for attack in ATTACKS if options.only is None or name_of(attack) in options.only]
    attacks = {name_of(attack): measure(attack) for attack in chosen}
    table = {"attacks": attacks, "missed": missed(attacks), "conditions": conditions.as_dict()}
    text = json.dumps(table, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(bool(table["missed"]))


if __name__ == "__main__":
    sys.exit(main())
