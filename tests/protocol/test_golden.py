# SPDX-License-Identifier: Apache-2.0
"""The bytes of version 1.0, of every message: who changes them makes another version."""

from pathlib import Path

import pytest

from blender_addon.protocol.codec import decode, encode
from blender_addon.protocol.messages import MESSAGES
from blender_addon.protocol.version import MAGIC
from tests.protocol.samples import ENVELOPES

GOLDEN = Path(__file__).parent / "golden" / "1.0"


def test_there_is_a_sample_and_a_golden_file_of_every_message():
    assert set(ENVELOPES) == set(MESSAGES)
    assert {path.stem for path in GOLDEN.iterdir()} == set(MESSAGES)
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 64 << 10


@pytest.mark.parametrize("name", MESSAGES)
def test_bytes_of_1_0(name):
    header = (GOLDEN / f"{name}.msgpack").read_bytes()
    sample = ENVELOPES[name]
    assert encode(sample) == [MAGIC, header, *sample.buffers], (
        f"{name} has other bytes than in version 1.0. A new optional field needs a new minor version with golden files "
        "of its own; 1.0's stay."
    )
    assert decode([MAGIC, header, *sample.buffers]) == sample
