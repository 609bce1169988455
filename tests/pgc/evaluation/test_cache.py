# SPDX-License-Identifier: Apache-2.0
"""Results on disk: what changes the folder, what survives, what counts as missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache, configuration_hash, environment, file_hash, folder_hash, write_json


def test_hash_depends_on_values_and_not_on_order() -> None:
    assert configuration_hash({"a": 1, "b": [1, 2]}) == configuration_hash({"b": [1, 2], "a": 1})
    assert configuration_hash({"a": 1}) != configuration_hash({"a": 2})
    # SHA-256 of the canonical text, by another road.
    assert configuration_hash({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()[:16]


def test_parts_are_found_again_and_other_configurations_do_not_see_them(tmp_path: Path) -> None:
    ResultCache(tmp_path, {"steps": 3}).put("part", {"x": 1.5})
    assert ResultCache(tmp_path, {"steps": 3}).get("part") == {"x": 1.5}
    assert ResultCache(tmp_path, {"steps": 3}).get("other") is None
    assert ResultCache(tmp_path, {"steps": 4}).get("part") is None


def test_a_damaged_part_counts_as_missing(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, {})
    (cache.folder / "part.json").write_text('{"x": 1', encoding="utf-8")
    assert cache.get("part") is None


def test_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": 1})
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "deep" / "a.json").read_text(encoding="utf-8")) == {"x": 1}


def test_file_and_folder_hashes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    before = folder_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_hash(tmp_path) != before
    before = folder_hash(tmp_path)
    (tmp_path / "CARD.md").write_text("words", encoding="utf-8")
    assert folder_hash(tmp_path) == before
    with pytest.raises(ConfigError, match="no file"):
        file_hash(tmp_path / "absent")
    with pytest.raises(ConfigError, match="missing or empty"):
        folder_hash(tmp_path / "absent")


def test_environment_names_hardware_and_versions() -> None:
    value = environment()
    assert value["cores"] >= 1
    assert value["processor"]
    assert value["commit"]
