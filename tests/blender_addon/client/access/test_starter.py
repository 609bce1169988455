# SPDX-License-Identifier: Apache-2.0
"""Starting a server, with small programs in its place."""

import sys

import pytest

from blender_addon.client.access.starter import ServerStarter, Starter
from tests.blender_addon.client.fake_server import wait_until


@pytest.fixture
def starter_of(tmp_path):
    """A starter that runs a `server` module with this code."""
    made = []

    def make(code):
        package = tmp_path / "server"
        package.mkdir(exist_ok=True)
        (package / "__main__.py").write_text(code)
        starter = ServerStarter(data=tmp_path / "data", source=tmp_path)
        made.append(starter)
        return starter

    yield make
    for starter in made:
        starter.close()


def test_the_command_is_the_detached_server(tmp_path):
    starter = ServerStarter(data=tmp_path, options=("--device", "cpu"))
    assert starter.command == [
        *(sys.executable, "-P", "-m", "server", "start", "--detach", "--data", str(tmp_path), "--device", "cpu")
    ]
    assert isinstance(starter, Starter)
    starter.close()


def test_a_start_that_went_well_says_nothing(starter_of, tmp_path):
    starter = starter_of(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    starter.start()
    wait_until((tmp_path / "ran").exists)
    wait_until(lambda: starter.failure() is None and starter._process is None)


@pytest.mark.slow
def test_a_server_that_lies_in_the_working_directory_is_not_run(tmp_path, monkeypatch):
    """As in a folder of an artist that holds a server.py, from which Blender was started."""
    ran = tmp_path / "ran"
    (tmp_path / "server.py").write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()")
    monkeypatch.chdir(tmp_path)
    starter = ServerStarter(data=tmp_path / "data", options=("--device", "nonsense"))
    starter.start()
    found = []
    wait_until(lambda: found.append(starter.failure()) or found[-1] is not None, 60.0)
    assert "nonsense" in found[-1], "the true server refused the option"
    assert not ran.exists()
    starter.close()


def test_a_start_that_failed_says_the_last_line_once(starter_of):
    starter = starter_of("import sys; sys.exit('No torch.\\nInstall torch first.')")
    starter.start()
    found = []
    wait_until(lambda: found.append(starter.failure()) or found[-1] is not None)
    assert found[-1] == "The server cannot be started: Install torch first."
    assert starter.failure() is None


def test_a_refusal_in_a_frame_is_read_out_of_it(starter_of):
    refusal = "Usage: server start\\n╭─ Error ───╮\\n│ No such option: --new │\\n╰───────────╯\\n"
    starter = starter_of(f"import sys; sys.stderr.buffer.write('{refusal}'.encode()); sys.exit(2)")
    starter.start()
    found = []
    wait_until(lambda: found.append(starter.failure()) or found[-1] is not None)
    assert found[-1] == "The server cannot be started: No such option: --new"


def test_variables_reach_the_server_and_no_option_does(starter_of, tmp_path):
    code = f"import os, pathlib; pathlib.Path({str(tmp_path / 'told')!r}).write_text(os.environ['PGC_NEW'])"
    plain = starter_of(code)
    starter = ServerStarter(data=tmp_path / "data", source=tmp_path, variables={"PGC_NEW": "1"})
    assert starter.command == plain.command
    starter.start()
    wait_until(lambda: starter.failure() is None and starter._process is None)
    assert (tmp_path / "told").read_text() == "1"
    starter.close()


def test_a_silent_failure_gives_its_exit_code(starter_of):
    starter = starter_of("import sys; sys.exit(3)")
    starter.start()
    found = []
    wait_until(lambda: found.append(starter.failure()) or found[-1] is not None)
    assert "exit code 3" in found[-1]


def test_one_start_at_a_time(starter_of):
    starter = starter_of("import time; time.sleep(1)")
    starter.start()
    process = starter._process
    starter.start()
    assert starter._process is process
    process.kill()
    process.wait()


def test_a_python_that_is_not_there_is_an_os_error(tmp_path):
    starter = ServerStarter(python=str(tmp_path / "python"))
    with pytest.raises(OSError, match="python"):
        starter.start()
    starter.close()
