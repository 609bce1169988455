# SPDX-License-Identifier: Apache-2.0
"""The environment's folder: ours by its marker, whole or absent, and nothing else is ever deleted."""

import os

import pytest

from blender_addon.server_install.environment import (
    MARKER,
    begin,
    environment_python,
    finish,
    read_installed,
    remove,
)
from blender_addon.server_install.errors import InstallError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "environment"


def test_it_is_installed_only_when_finished_and_with_a_python(folder):
    assert read_installed(folder) is None
    begin(folder)
    assert read_installed(folder) is None
    finish(folder, "pgc-texture==1")
    assert read_installed(folder) is None
    python = environment_python(folder)
    python.parent.mkdir()
    python.touch()
    assert read_installed(folder).python == python
    assert read_installed(folder).requirement == "pgc-texture==1"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"finished": "yes"}'])
def test_a_damaged_marker_is_no_installation(folder, text):
    begin(folder)
    (folder / MARKER).write_text(text)
    assert read_installed(folder) is None


def test_only_what_is_ours_is_deleted(folder):
    folder.mkdir(parents=True)
    (folder / "mine.txt").touch()
    with pytest.raises(InstallError, match="was not made by Install Server"):
        remove(folder)
    with pytest.raises(InstallError, match="was not made by Install Server"):
        begin(folder)
    assert (folder / "mine.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a right there that most users lack")
def test_links_are_not_followed(folder, tmp_path):
    begin(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "link").symlink_to(outside)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    with pytest.raises(InstallError):
        remove(linked)
    remove(folder)
    assert not folder.exists()
    assert (outside / "kept").exists()


def test_an_empty_folder_may_be_used(folder):
    folder.mkdir(parents=True)
    begin(folder)
    assert (folder / MARKER).exists()


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InstallError, match="cannot be written"):
        begin(tmp_path / "file" / "environment")


def test_removing_what_is_not_there_is_no_error(folder):
    remove(folder)
