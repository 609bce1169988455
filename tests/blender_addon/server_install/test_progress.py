# SPDX-License-Identifier: Apache-2.0
"""pip's output becomes a bar that only grows."""

import pytest

from blender_addon.server_install.progress import PipProgress

MB = 10**6
OUTPUT = """\
Processing ./pgc_texture-0.1.0-py3-none-any.whl
Collecting torch>=2.11 (from pgc-texture==0.1.0)
  Downloading https://download.pytorch.org/whl/cpu/torch-2.13.0-cp312-cp312-linux_x86_64.whl (190.0 MB)
Collecting numpy>=1.26
  Using cached numpy-2.3.5-cp312-cp312-linux_x86_64.whl.metadata (62 kB)
  Downloading numpy-2.3.5-cp312-cp312-linux_x86_64.whl (16.6 MB)
Installing collected packages: numpy, torch, pgc-texture
Successfully installed numpy-2.3.5
""".splitlines()


def follow(expected):
    state, seen = PipProgress(expected=expected), []
    for line in OUTPUT:
        state = state.after(line)
        seen.append(state)
    return seen


def test_it_grows_and_ends_at_four_fifths():
    factors = [state.factor for state in follow(400 * MB)]
    assert factors == sorted(factors)
    assert factors[2] == pytest.approx(0.8 * 190 / 400)
    assert factors[-1] == 0.8


def test_the_package_at_hand_is_named():
    details = [state.detail for state in follow(400 * MB)]
    assert details[:3] == ["pgc_texture", "torch", "torch (190.0 MB)"]
    assert details[-1] == "Unpacking"


def test_without_a_size_packages_are_counted():
    factors = [state.factor for state in follow(0)]
    assert 0 < factors[0] < factors[1] < factors[-1]


def test_other_lines_change_nothing():
    state = PipProgress(expected=MB)
    for line in ("", "WARNING: something", "Downloading (", "  Downloading x (1 furlong)", "$ python -m pip"):
        assert state.after(line) == state
