# SPDX-License-Identifier: Apache-2.0
"""The extension's zip: reproducible, complete, and refused where a wheel is missing."""

import tomllib
import zipfile

import pytest

import build_addon

NAMES = ("msgpack-1.1-cp311-cp311-any.whl", "pyzmq-27-cp312-abi3-any.whl")


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in (*NAMES, "other-1-py3-none-any.whl"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_same_sources_give_the_same_bytes(wheels, tmp_path):
    found = build_addon.find_wheels(wheels)
    first = build_addon.build(found, tmp_path / "a").read_bytes()
    assert build_addon.build(found, tmp_path / "b").read_bytes() == first


def test_the_zip_holds_the_package_its_wheels_and_a_manifest_that_names_them(wheels, tmp_path):
    with zipfile.ZipFile(build_addon.build(build_addon.find_wheels(wheels), tmp_path)) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert {
        "LICENSE",
        "LICENSE-Apache-2.0.txt",
        "__init__.py",
        "protocol/codec.py",
        "client/client.py",
        "scene/materials.py",
    } <= names
    assert manifest["wheels"] == [f"./wheels/{name}" for name in NAMES]
    assert {f"wheels/{name}" for name in NAMES} <= names
    assert "wheels/other-1-py3-none-any.whl" not in names
    assert set(manifest["permissions"]) == {"network", "files"}
    assert not any("__pycache__" in name for name in names)


def test_a_missing_wheel_is_said(wheels):
    (wheels / NAMES[1]).unlink()
    with pytest.raises(build_addon.BuildError, match="no wheel of pyzmq"):
        build_addon.find_wheels(wheels)


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
