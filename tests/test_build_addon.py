# SPDX-License-Identifier: Apache-2.0
"""The extension's zip: reproducible, complete, for one platform, and refused where a wheel is missing."""

import os
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon
from build_addon import Variant

NAMES = (
    "msgpack-1.1-cp311-cp311-manylinux2014_x86_64.whl",
    "msgpack-1.1-cp313-cp313-manylinux2014_x86_64.whl",
    "pyzmq-27-cp311-cp311-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl",
    "pyzmq-27-cp312-abi3-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl",
)
ELSEWHERE = ("msgpack-1.1-cp311-cp311-win_amd64.whl", "pyzmq-27-cp311-cp311-macosx_10_15_universal2.whl")


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in (*NAMES, *ELSEWHERE, "other-1-py3-none-any.whl"):
        (folder / name).write_bytes(name.encode())
    return folder


def entries_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_same_sources_give_the_same_bytes(wheels, tmp_path, monkeypatch):
    found = build_addon.find_wheels(wheels)
    first = build_addon.build(found, tmp_path / "a").read_bytes()
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    before = os.umask(0o077)
    found[0].touch()
    second = build_addon.build(found, tmp_path / "b").read_bytes()
    os.umask(before)
    assert second == first


def test_carriage_returns_of_a_checkout_do_not_matter(tmp_path):
    (tmp_path / "a.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    assert build_addon._text_of(tmp_path / "a.py") == b"x = 1\ny = 2\n"


def test_the_zip_holds_the_package_its_wheels_and_a_manifest_that_names_them(wheels, tmp_path):
    found = build_addon.find_wheels(wheels, "linux-x64")
    assert [path.name for path in found] == list(NAMES)
    path = build_addon.build(found, tmp_path, Variant(platform="linux-x64"))
    assert path.name.endswith("-linux_x64.zip")
    entries = entries_of(path)
    manifest = tomllib.loads(entries["blender_manifest.toml"].decode())
    expected = {"LICENSE", "LICENSE-Apache-2.0.txt", "__init__.py", "protocol/codec.py", "scene/pictures/materials.py"}
    assert expected <= set(entries)
    assert manifest["platforms"] == ["linux-x64"]
    assert {name.removeprefix("./") for name in manifest["wheels"]} == {n for n in entries if n.startswith("wheels/")}
    assert len(manifest["wheels"]) == len(NAMES)
    assert set(manifest["permissions"]) == {"network", "files"}
    assert not any("__pycache__" in name for name in entries)


def test_the_wheel_of_the_oldest_python_sorts_last(wheels):
    """The first Blenders 4.2, on Python 3.11, take the last name of the same package and version."""
    names = [build_addon.carried_name(path) for path in build_addon.find_wheels(wheels, "linux-x64")]
    for package in build_addon.WHEELS:
        assert "-cp311-" in max(name for name in names if name.startswith(package))
    assert build_addon.carried_name(Path("a-1-py3-none-any.whl")) == "a-1-py3-none-any.whl"


def test_each_platform_gets_its_own_wheels(wheels):
    with pytest.raises(build_addon.BuildError, match="no wheel of pyzmq for windows-x64"):
        build_addon.find_wheels(wheels, "windows-x64")
    assert build_addon._fits(wheels / ELSEWHERE[1], "macos-arm64")
    assert build_addon._fits(wheels / ELSEWHERE[1], "macos-x64")
    assert not build_addon._fits(wheels / ELSEWHERE[0], "windows-arm64")
    assert not build_addon._fits(wheels / NAMES[0], "macos-x64")


def test_a_platform_that_blender_does_not_name_is_refused():
    with pytest.raises(build_addon.BuildError, match="'amiga'"):
        Variant(platform="amiga")


def test_a_missing_wheel_is_said(wheels):
    for name in (NAMES[2], NAMES[3], ELSEWHERE[1]):
        (wheels / name).unlink()
    with pytest.raises(build_addon.BuildError, match="no wheel of pyzmq"):
        build_addon.find_wheels(wheels)


def test_two_versions_of_a_wheel_are_refused(wheels):
    (wheels / "msgpack-1.2-cp314-cp314-manylinux2014_x86_64.whl").touch()
    with pytest.raises(build_addon.BuildError, match=r"versions 1\.1, 1\.2"):
        build_addon.find_wheels(wheels)


def test_install_server_can_be_left_out(wheels, tmp_path):
    found = build_addon.find_wheels(wheels)
    entries = entries_of(build_addon.build(found, tmp_path, Variant(install_server=False)))
    assert b"INSTALL_SERVER = False" in entries["build_options.py"]
    assert not set(build_addon._INSTALLER) & set(entries)
    assert set(build_addon._INSTALLER) <= set(entries_of(build_addon.build(found, tmp_path)))


def test_the_servers_wheel_goes_with_install_server(wheels, tmp_path):
    server = tmp_path / "pgc_texture-0-py3-none-any.whl"
    server.write_bytes(b"wheel")
    found = build_addon.find_wheels(wheels)
    entries = entries_of(build_addon.build(found, tmp_path / "out", Variant(server=server)))
    assert entries["server_wheel/pgc_texture-0-py3-none-any.whl"] == b"wheel"
    with pytest.raises(build_addon.BuildError, match="no use for the server's wheel"):
        Variant(server=server, install_server=False)


@pytest.mark.slow
def test_it_builds_from_a_linked_checkout(wheels, tmp_path):
    """The command, from a link to the checkout, without a network: the same bytes as from the checkout."""
    link = tmp_path / "linked"
    try:
        link.symlink_to(build_addon.ROOT, target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    command = [sys.executable, str(link / "build_addon.py"), "--no-server", "--platforms", "linux-x64"]
    command += ["--wheels", str(wheels), "--out", str(tmp_path / "out")]
    clean = {key: value for key, value in os.environ.items() if key != "BLENDER_BIN"}
    subprocess.run(command, check=True, cwd=link, env=clean, timeout=60)
    (built,) = (tmp_path / "out").glob("*.zip")
    found = build_addon.find_wheels(wheels, "linux-x64")
    same = build_addon.build(found, tmp_path / "same", Variant(platform="linux-x64"))
    assert built.read_bytes() == same.read_bytes()


def test_what_blender_refuses_is_an_error(tmp_path):
    if os.name == "nt":
        pytest.skip("the stand-in for Blender is a shell script")
    blender = tmp_path / "blender"
    blender.write_text('#!/bin/sh\necho "$4 is wrong"; exit 1\n')
    blender.chmod(0o755)
    with pytest.raises(build_addon.BuildError, match=r"refuses a\.zip: .*a\.zip is wrong"):
        build_addon.validate(tmp_path / "a.zip", str(blender))


def test_a_failure_is_an_exit_code(tmp_path):
    assert build_addon.main(["--no-server", "--wheels", str(tmp_path), "--out", str(tmp_path)]) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_servers_wheel_is_reproducible(tmp_path):
    try:
        first = build_addon.build_server_wheel(tmp_path / "a")
    except build_addon.BuildError as error:
        pytest.skip(f"pip needs setuptools from the index for this: {str(error)[-200:]}")
    time.sleep(2.1)  # Times in a zip have two seconds' resolution.
    assert build_addon.build_server_wheel(tmp_path / "b").read_bytes() == first.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
    assert "server/__main__.py" in names
    assert any(name.startswith("pgc/pocket/weights/") for name in names)
    assert not any(name.startswith("blender_addon/operators") for name in names)


def test_the_pages_for_readers_of_the_repository_stay_outside() -> None:
    names = {path.name for path in build_addon.sources()}
    assert "README.md" not in names
    assert "PROTOCOL.md" in names


def test_no_module_of_the_extension_imports_it_by_name():
    """As an extension the package is called bl_ext.user_default.pgc_texture."""
    for path in build_addon.sources():
        if path.suffix == ".py":
            lines = path.read_text(encoding="utf-8").splitlines()
            assert not [
                line for line in lines if line.lstrip().startswith(("from blender_addon", "import blender_addon"))
            ]


def test_reasons_and_tagline_are_as_blender_wants_them(wheels):
    """At most 64 characters and no full stop, says Blender's own validator."""
    manifest = tomllib.loads(build_addon.manifest_with(build_addon.find_wheels(wheels)))
    for text in (manifest["tagline"], *manifest["permissions"].values()):
        assert len(text) <= 64
        assert text[-1].isalnum()
