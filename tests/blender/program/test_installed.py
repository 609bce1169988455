# SPDX-License-Identifier: Apache-2.0
"""The built zip as an artist gets it: installed by Blender, driven by its operators against a real server, removed.

Each step is a Blender of its own with a time limit, and all of a test share their settings, which start empty.
`python -m tests.blender.all_versions` runs this on every Blender that it finds.
"""

import http.server
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

import build_addon
from tests.blender.blender_process import ROOT

# Each Blender has its own limit; this is for all of a test on a busy machine.
pytestmark = [pytest.mark.blender, pytest.mark.slow, pytest.mark.timeout(600)]
SCRIPT = "probe_installed.py"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Folder of the extension's wheels: PGC_WHEELS, or what pip fetches or has in its cache."""
    if named := os.environ.get("PGC_WHEELS"):
        return Path(named)
    folder = tmp_path_factory.mktemp("wheels")
    try:
        build_addon.fetch_wheels(folder, build_addon.this_platform())
    except build_addon.BuildError as error:
        pytest.skip(f"{error} (PGC_WHEELS names one)")
    return folder


@pytest.fixture(scope="session")
def built_zip(wheels, tmp_path_factory):
    name = build_addon.this_platform()
    found = build_addon.find_wheels(wheels, name)
    return build_addon.build(found, tmp_path_factory.mktemp("zip"), build_addon.Variant(platform=name))


def _install(blender, run_in_blender, zip_file, work):
    """As Blender's command line does, or where there is only bpy, through the operator behind Install from Disk."""
    if blender.is_module:
        assert run_in_blender("install", own_process=True, script=SCRIPT, path=str(zip_file))["enabled"]
        return
    command = [blender.program, "--command", "extension", "install-file", "--repo", "user_default", "--enable"]
    resources = work / "blender" / "resources"
    resources.mkdir(parents=True)
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources)}
    done = subprocess.run(
        [*command, str(zip_file)], capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_from_the_zip_to_a_texture_and_away_again(blender, run_in_blender, built_zip, connection, tmp_path):
    _install(blender, run_in_blender, built_zip, tmp_path)

    blend = tmp_path / "scene.blend"
    facts = run_in_blender(
        "generate", own_process=True, script=SCRIPT, limit=200.0, connection=str(connection), blend=str(blend)
    )
    assert facts["states"][-1] == "done", facts
    assert "running" in facts["states"]
    assert not facts["without_prompt"]
    assert facts["bystander"] == ["Bystander before"]
    assert facts["versions"] == 1
    assert all("extensions" in path for path in facts["wheels"]), facts["wheels"]
    colors = [picture for picture in facts["pictures"] if picture["color_space"] == "sRGB"]
    assert [picture["size"] for picture in colors] == [[256, 256]]
    assert all(picture["packed"] for picture in facts["pictures"])
    assert colors[0]["spread"] > 0.05, "a picture of one colour is no texture"

    after = run_in_blender("reopen", own_process=True, script=SCRIPT, blend=str(blend))
    assert after == {"pictures": facts["pictures"], "versions": 1}

    facts = run_in_blender("disable_and_uninstall", own_process=True, script=SCRIPT)
    assert "PGC_OT_generate" in facts["there"]["types"]
    assert facts["there"]["groups"] == ["Scene.pgc", "Object.pgc", "WindowManager.pgc"]
    assert facts["timer"]
    assert facts["gone"] == {"types": [], "groups": [], "handlers": [], "operators": [], "threads": []}
    assert not facts["timer_left"]
    assert not facts["folder_left"]
    assert not facts["known"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there that most users lack")
def test_a_linked_folder_works_as_well(blender, run_in_blender):
    if not blender.is_module:
        pytest.skip("the link needs no wheels, so pyzmq and msgpack must come from the Python that has bpy")
    facts = run_in_blender("run_from_link", own_process=True, script=SCRIPT, source=str(ROOT / "blender_addon"))
    assert facts == {"enabled": True, "poll": False, "gone": []}


def _extension_tool(blender, *arguments):
    """Runs Blender's own tool for extensions."""
    if blender.is_module:
        find = "import bpy; print('@' + bpy.utils.system_resource('SCRIPTS'))"
        said = subprocess.run([blender.program, "-c", find], capture_output=True, text=True, timeout=60, check=True)
        scripts = next(line[1:] for line in said.stdout.splitlines() if line.startswith("@"))
        command = [blender.program, str(Path(scripts) / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py")]
    else:
        command = [blender.program, "--command", "extension"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_blenders_own_tool_accepts_the_zip(blender, built_zip):
    _extension_tool(blender, "validate", str(built_zip))


@pytest.fixture
def shelf(tmp_path):
    """A folder that is a static web site, and its address."""
    folder = tmp_path / "shelf"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, directory=str(folder), **more)

        def log_message(self, format, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{site.server_address[1]}/index.json"
        site.shutdown()
        thread.join()


def test_an_update_comes_through_blenders_own_repositories(blender, run_in_blender, built_zip, shelf):
    folder, url = shelf
    first = folder / built_zip.name
    first.write_bytes(built_zip.read_bytes())
    _extension_tool(blender, "server-generate", f"--repo-dir={folder}")
    # A later build: the same files with a higher version.
    later = folder.parent / "later"
    later.mkdir()
    with zipfile.ZipFile(built_zip) as old, zipfile.ZipFile(later / "pgc_texture-9.0.0.zip", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "blender_manifest.toml":
                data = re.sub(rb'(?m)^version = ".*"$', b'version = "9.0.0"', data)
            new.writestr(name, data)
    _extension_tool(blender, "server-generate", f"--repo-dir={later}")
    found = run_in_blender(
        "from_repository", own_process=True, script=SCRIPT, url=url, folder=str(folder), later=str(later)
    )
    assert found == {"enabled": True, "versions": [importlib.metadata.version("pgc-texture"), "9.0.0"]}
