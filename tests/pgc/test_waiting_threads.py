# SPDX-License-Identifier: Apache-2.0
"""What OpenMP itself says of how its threads wait, once torch has loaded it: OMP_DISPLAY_ENV makes it tell."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from pgc.waiting_threads import let_threads_sleep

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
START_AND_LOAD_TORCH = """
import sys
from pgc.cli import main
sys.argv = ["pgc", "--version"]
try:
    main()
except SystemExit:
    import torch
"""


def told_policy(text):
    """The policy that an OpenMP library printed."""
    found = re.search(r"OMP_WAIT_POLICY *= *'(\w+)'", text)
    return found and found[1]


def test_threads_are_asked_to_sleep_soon():
    environment = {"PATH": "/bin"}
    let_threads_sleep(environment)
    assert environment == {"PATH": "/bin", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize("name", CHOICES)
def test_what_the_user_chose_stays(name):
    environment = {name: "1"}
    let_threads_sleep(environment)
    assert environment == {name: "1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Intel's OpenMP writes past Python's streams there")
@pytest.mark.parametrize(("chosen", "told"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_the_command_starts_before_openmp_is_loaded(chosen, told):
    assert told_policy(output_of_openmp(chosen)) == told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP alone counts looks")
@pytest.mark.parametrize("chosen", [None, "17"])
def test_gnus_library_spins_as_long_as_it_is_told(chosen):
    told = re.search(
        r"GOMP_SPINCOUNT *= *'(\d+)'", output_of_openmp({} if chosen is None else {"GOMP_SPINCOUNT": chosen})
    )
    assert told
    assert told[1] == (chosen or "1000")


def output_of_openmp(chosen):
    """What the library prints of its settings in a process with the chosen variables."""
    bare = {name: value for name, value in os.environ.items() if name not in CHOICES}
    result = subprocess.run(
        [sys.executable, "-c", START_AND_LOAD_TORCH],
        env={**bare, **chosen, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout + result.stderr
