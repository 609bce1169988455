# SPDX-License-Identifier: Apache-2.0
"""Install Server in Blender itself, from a folder with a wheel that stands in for the server's."""

import pytest

from tests.blender_addon.server_install.fake_wheel import fake_wheel

pytestmark = [pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(400)]
SCRIPT = "probe_server_install.py"


def test_install_stop_remove(run_in_blender, tmp_path):
    wheels = fake_wheel(tmp_path / "wheels").parent
    folder = tmp_path / "environment"
    facts = run_in_blender(
        "install_and_remove",
        script=SCRIPT,
        limit=300.0,
        folder=str(folder),
        wheels=str(wheels),
        connection=str(tmp_path / "connection.json"),
    )
    assert {"pgc.install_server", "pgc.copy_install_command", "folder", "wheels"} <= set(facts["absent"])
    assert facts["timer"]
    assert any(text.startswith("[Making the Environment") for text in facts["running"]), facts["running"]
    assert "pgc.cancel_server_task" in facts["running"]
    assert not facts["twice"]
    assert facts["installed"].startswith("done:"), facts["installed"]
    assert {"pgc.start_server", "pgc.stop_server", "pgc.open_server_log", "pgc.remove_server"} <= set(facts["there"])
    assert facts["python"].startswith(str(folder))
    assert facts["stopped"] == "done: No server is running here."
    assert facts["removed"] == "done: The server is removed; its data is kept."
    assert "pgc.install_server" in facts["again"]
    assert not folder.exists()
    assert not facts["timer_left"]


def test_what_stands_against_it_is_said(run_in_blender, tmp_path):
    said = run_in_blender("refusals", script=SCRIPT, folder=str(tmp_path / "environment"))
    if not said["online_access"]:
        assert "Allow Online Access is off" in said["online"]
    assert "There are no wheels in" in said["wheels"]
    assert "cannot be run" in said["stop"]
    assert "the server has not run on this computer yet" in said["log"]
    environment = tmp_path / "environment"
    assert said["model"] == f"{environment}/no-python -P -m server models pull sdxl --data {environment}/none"
    assert not environment.exists()


def test_disabling_the_extension_ends_the_installation(run_in_blender, tmp_path):
    wheels = fake_wheel(tmp_path / "wheels").parent
    folder = tmp_path / "environment"
    assert run_in_blender("disable_in_the_middle", script=SCRIPT, folder=str(folder), wheels=str(wheels)) == []
    assert not folder.exists()
