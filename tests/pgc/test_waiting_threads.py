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


def test_threads_are_asked_to_sleep():
    environment = {"PATH": "/bin"}
    let_threads_sleep(environment)
    assert environment == {"PATH": "/bin", "OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("name", CHOICES)
def test_what_the_user_chose_stays(name):
    environment = {name: "1"}
    let_threads_sleep(environment)
    assert environment == {name: "1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Intel's OpenMP writes past Python's streams there")
@pytest.mark.parametrize(("chosen", "told"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_the_command_starts_before_openmp_is_loaded(chosen, told):
    bare = {name: value for name, value in os.environ.items() if name not in CHOICES}
    result = subprocess.run(
        [sys.executable, "-c", START_AND_LOAD_TORCH],
        env={**bare, **chosen, "OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told_policy(result.stdout + result.stderr) == told
