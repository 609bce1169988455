# SPDX-License-Identifier: Apache-2.0
"""Writes the golden bytes of a *new* minor version, of the messages in which it brought something.

Those of a released version never change.

python -m tests.blender_addon.protocol.write_golden
"""

from __future__ import annotations

from pathlib import Path

from blender_addon.protocol.codec import encode
from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from tests.blender_addon.protocol.samples import LATER

GOLDEN = Path(__file__).parent / "golden" / f"{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}"


def main() -> None:
    """One file a message: its header frame. MAGIC and buffers are what `samples` says."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, envelope in LATER[GOLDEN.name].items():
        (GOLDEN / f"{name}.msgpack").write_bytes(bytes(encode(envelope)[1]))


if __name__ == "__main__":
    main()
