# SPDX-License-Identifier: Apache-2.0
"""Damaged messages for the fuzzers, and the judge of what the codec makes of them.

Inputs that get an answer not seen before join the corpus, so that the search goes where the code has more to say.
"""

from __future__ import annotations

import copy
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgpack

from blender_addon.protocol.codec import Envelope, decode, encode, peek_id
from blender_addon.protocol.errors import ProtocolError
from blender_addon.protocol.limits import DEFAULT_LIMITS
from blender_addon.protocol.messages import Error
from tests.blender_addon.protocol import samples

_CORPUS_LIMIT = 4096
_ERROR_LIMIT = 16 << 10
_BIG = bytes(DEFAULT_LIMITS.bulk_frame + 1)
_BYTES = bytes.fromhex("00017f80818f909fa0bfc0c1c2c3c4c6c7c9cacbcfd3d4d8d9dbdcdddedfff")
"""Each kind of msgpack's first bytes."""
_BOMBS = (
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xdc\x10\x00" + b"\x80" * 4096,
    b"\x91" * 1200,
    b"\x81\xa1a" * 600,
    b"\xd6\xff\x00\x00\x00\x00",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 5, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.0, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", "a", "x" * 5000, "ä" * 60, "\x00", "../../etc/passwd", "a" * 32,
    "a" * 64, b"", b"x" * 40, [], {}, [[]], [0] * 300, {"kind": "rig"}, {"kind": []}, {"a": {"b": {"c": [1]}}},
    {b"a": 1}, "PING", "SUBMIT", "EVENT", "CHUNK", "state", "queued", 1001, [1, 0], [2, 0], [[1, 0]],
)  # fmt: skip


_FORBIDDEN: tuple[Any, ...] = (
    {str(n): n for n in range(300)}, {1: 2}, msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 1), [0] * 5000,
)  # fmt: skip
"""What not even msgpack's limits let through: rarely, for it hides what comes after."""


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(_FORBIDDEN if rng.random() < 0.02 else _VALUES))  # What comes after may change it.


class Mutator:
    """Gives damaged frames without end, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._good = [[bytes(frame) for frame in encode(envelope)] for envelope in samples.ENVELOPES.values()]
        self._job = [bytes(frame) for frame in encode(samples.ENVELOPES["SUBMIT"])]
        self._corpus = list(self._good)

    def keep(self, frames: list[bytes]) -> None:
        """Take a case that said something new into the corpus."""
        if len(self._corpus) < _CORPUS_LIMIT and sum(map(len, frames)) < 1 << 16:
            self._corpus.append(frames)

    @property
    def size(self) -> int:
        """Messages in the corpus."""
        return len(self._corpus)

    def case(self) -> list[bytes]:
        """One damaged message."""
        rng = self._random
        start = rng.random()
        frames = list(self._job) if start < 0.25 else list(rng.choice(self._good if start < 0.6 else self._corpus))
        return self.damage(frames)

    def reseed(self, seed: int) -> None:
        """From here on the cases of another seed."""
        self._random = random.Random(seed)

    def damage(self, frames: list[bytes]) -> list[bytes]:
        """These frames, damaged."""
        rng, frames = self._random, list(frames)
        kind = rng.random()
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
            if kind < 0.6 and len(frames) > 1:
                frames[1] = self._structure(frames[1])
            elif kind < 0.95 and len(frames) > 1:
                frames[1] = self._bytes(frames[1])
            else:
                self._frames(frames)
        return frames

    def _bytes(self, data: bytes) -> bytes:
        rng = self._random
        at = rng.randrange(len(data) + 1)
        match rng.randrange(8):
            case 0 if data:
                at = min(at, len(data) - 1)
                return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            case 1 | 2:
                return data[:at] + bytes([rng.choice(_BYTES)]) + data[at + 1 :]
            case 3:
                return data[:at]
            case 4:
                return data[:at] + data[at + rng.randrange(1, 9) :]
            case 5:
                return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
            case 6:
                other = rng.choice(self._corpus)
                return data[:at] + (other[1] if len(other) > 1 else b"")[rng.randrange(64) :]
            case _:
                return data[:at] + rng.choice(_BOMBS) + data[at + rng.randrange(3) :]

    def _structure(self, data: bytes) -> bytes:
        """A value, a key or a level somewhere in the header becomes something else."""
        try:
            root = msgpack.unpackb(data, strict_map_key=False)
            for _ in range(self._random.choice((1, 1, 2))):
                self._one_place(root)
            return bytes(msgpack.packb(root) or b"")
        except Exception:  # noqa: BLE001 - it is damaged beyond msgpack already; its bytes can still be
            return self._bytes(data)

    def _one_place(self, root: Any) -> None:
        rng = self._random
        place: Any = root
        if rng.random() < 0.85 and isinstance(root, dict) and isinstance(root.get("body"), dict):
            place = root["body"]
        for _ in range(rng.randrange(1, 9)):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(place[key], dict | list) and rng.random() < 0.85:
                place = place[key]
                continue
            break
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        action = rng.randrange(6)
        if not keys or action == 0:
            if isinstance(place, dict):
                place[rng.choice(("later", "kind", "text", "", 1, "seed"))] = _value(rng)
            else:
                place.append(_value(rng))
        elif action == 1:
            del place[rng.choice(keys)]
        elif action == 2:
            key = rng.choice(keys)
            place[key] = [place[key]] if rng.random() < 0.5 else {"a": place[key]}
        elif action == 3 and isinstance(place, list):
            place.extend(place[: rng.randrange(1, 300)])
        else:
            place[rng.choice(keys)] = _value(rng)

    def _frames(self, frames: list[bytes]) -> None:
        rng = self._random
        at = rng.randrange(len(frames)) if frames else 0
        match rng.randrange(7):
            case 0 if frames:
                del frames[at]
            case 1 if frames:
                frames.insert(at, frames[at])
            case 2:
                frames.insert(at, rng.randbytes(rng.randrange(40)))
            case 3:
                frames.extend([b""] * rng.randrange(1, 12))
            case 4 if frames:
                frames[at] = rng.choice((b"", b"TXP1", b"TXP2", _BIG, b"\x80" * (DEFAULT_LIMITS.header + 1)))
            case 5:
                rng.shuffle(frames)
            case _:
                frames.reverse()


@dataclass
class Judge:
    """Counts outcomes, and collects what must not be.

    Args:
        slowest: seconds of the slowest decode; failures: case and what was wrong.
    """

    outcomes: Counter[str] = field(default_factory=Counter[str])
    seen: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    failures: list[str] = field(default_factory=list[str])
    slowest: float = 0.0

    def look(self, frames: list[bytes]) -> bool:
        """Decode one case; whether its outcome was a new one."""
        started = time.perf_counter()
        try:
            envelope = decode(frames)
        except ProtocolError as error:
            self.slowest = max(self.slowest, time.perf_counter() - started)
            return self._refused(frames, error)
        except BaseException as error:
            self.failures.append(f"{type(error).__name__}: {error} for {_shown(frames)}")
            raise
        self.slowest = max(self.slowest, time.perf_counter() - started)
        self.outcomes["accepted"] += 1
        if decode(encode(envelope)) != envelope:
            self.failures.append(f"not the same after a round trip: {_shown(frames)}")
        return self._is_new("accepted", envelope.message.TYPE, str(len(envelope.buffers)))

    def _refused(self, frames: list[bytes], caught: ProtocolError) -> bool:
        error = caught.error
        self.outcomes[error.code.value] += 1
        answer = encode(Envelope(Error(error), samples.ID, peek_id(frames)))
        if len(answer[1]) > _ERROR_LIMIT:
            self.failures.append(f"an error of {len(answer[1])} bytes for {_shown(frames)}")
        place = re.sub(r"\d+", "", error.field or "")[:80]
        return self._is_new(error.code.value, place, re.sub(r"'.*'|[\d.]+", "", error.text)[:60])

    def _is_new(self, *signature: str) -> bool:
        if signature in self.seen:
            return False
        self.seen.add(signature)
        return True


def _shown(frames: list[bytes]) -> str:
    return repr([frame[:2000] for frame in frames])
