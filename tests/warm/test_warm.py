# SPDX-License-Identifier: Apache-2.0
"""A fork is what the start of a process is: the same child, streams, exit code, signals, folder and variables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.warm.popen import WarmPopen, warm

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are started as ever elsewhere"),
    pytest.mark.skipif(bool(os.environ.get("PGC_TESTS_COLD")), reason="PGC_TESTS_COLD asks for real starts"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("warm_processes"),
]
FORKED = "import sys; forked = 'tests.warm.child' in sys.modules; "


def python(code: str, *arguments: str, **options):
    return subprocess.run([sys.executable, "-c", FORKED + code, *arguments], capture_output=True, text=True, **options)


def test_it_is_a_child_with_its_own_number_and_arguments_and_torch_is_there_already():
    code = "import os; print(forked, 'torch' in sys.modules, os.getppid(), os.getpid(), sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", FORKED + code, "a b"], stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate()
    assert said == f"True True {os.getpid()} {process.pid} ['a b']\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("code", "number", "said"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
        ("import atexit; atexit.register(sys.stderr.write, 'bye')", 0, "bye"),
        (
            "import threading, time; "
            "threading.Thread(target=lambda: (time.sleep(0.1), sys.stderr.write('late'))).start()",
            0,
            "late",
        ),
    ],
)
def test_it_ends_as_a_process_ends(code, number, said):
    done = python(code, check=False)
    assert done.returncode == number
    assert done.stderr.endswith(said)
    assert done.stdout == ""


def test_folder_variables_input_umask_and_group_are_those_that_were_asked_for(tmp_path):
    code = (
        "import os; print(os.getcwd(), os.environ['A'], 'HOME_OF_NOBODY' in os.environ, sys.stdin.read(), "
        "oct(os.umask(0)), os.getpgid(0) == os.getpid(), forked)"
    )
    environment = {**os.environ, "A": "b c"}
    done = python(code, cwd=tmp_path, env=environment, input="in", umask=0o27, process_group=0, check=True)
    assert done.stdout == f"{tmp_path} b c False in 0o27 True True\n"


def test_the_mask_that_a_process_has_set_is_inherited_by_what_it_starts():
    inner = "import os; print(oct(os.umask(0)))"
    code = (
        "import os, subprocess; os.umask(0o77); "
        f"print(forked, flush=True); subprocess.run([sys.executable, '-c', {inner!r}])"
    )
    assert python(code, umask=0, check=True).stdout == "True\n0o77\n"


def test_it_can_be_interrupted_and_is_seen_under_its_name():
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", FORKED + code, "its name"], stdout=subprocess.PIPE, stderr=-3)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert "its name" in psutil.Process(process.pid).cmdline()
    assert "tests.warm" not in psutil.Process(process.pid).cmdline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT
    process.stdout.close()


def test_what_it_starts_is_its_own_child_and_forked_too():
    code = (
        "import os, subprocess; "
        "print(os.getpid(), flush=True); subprocess.run([sys.executable, '-c', "
        "'import os, sys; print(os.getppid(), \"torch\" in sys.modules)'])"
    )
    first, second = python(code, check=True).stdout.splitlines()
    assert second == f"{first} True"


def test_a_killed_one_leaves_no_process(tmp_path):
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    [template] = psutil.Process(process.pid).children()
    process.kill()
    process.wait(30)
    process.stdout.close()
    end = time.monotonic() + 30
    while template.is_running() and template.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"env": {**os.environ, "PYTHONIOENCODING": "cp1252"}},
        {"env": {**os.environ, "PYTHONPATH": "/nowhere"}},
        {"env": {name: value for name, value in os.environ.items() if name != "HOME"}},
        {"preexec_fn": os.getpid},
        {"close_fds": False},
    ],
)
def test_what_a_fork_cannot_give_is_started(options):
    assert python("print(forked)", check=True, **options).stdout == "False\n"


def test_options_of_python_are_started():
    done = subprocess.run([sys.executable, "-I", "-c", FORKED + "print(forked)"], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_outside_of_it_and_where_it_is_not_wanted_processes_are_started(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", WarmPopen.__base__)
    assert python("print(forked)", check=True).stdout == "False\n"
    monkeypatch.setenv("PGC_TESTS_COLD", "1")
    with warm():
        assert subprocess.Popen is WarmPopen.__base__
