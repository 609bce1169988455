# SPDX-License-Identifier: Apache-2.0
"""Results on disk: what changes the folder, what survives, what counts as missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pgc.errors import ConfigError
from pgc.evaluation.cache import (
    ResultCache,
    configuration_hash,
    environment,
    file_hash,
    folder_hash,
    rounded,
    write_json,
)

UPWARDS = '{"configuration_hash": "a", "rows": [{"name": "../elsewhere"}]}'


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


def test_rounding_keeps_digits_and_not_places_and_leaves_all_else() -> None:
    value = {"a": [0.000123456789, (123456789.0, 7)], "b": True, "c": "0.123456789", "d": None, "e": float("inf")}
    assert rounded(value) == {
        "a": [0.000123457, [123457000.0, 7]],
        "b": True,
        "c": "0.123456789",
        "d": None,
        "e": float("inf"),
    }
    assert rounded(2.0 / 3.0, digits=2) == 0.67


def test_runs_of_another_machine_are_taken_over_and_own_ones_kept(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, {"steps": 3})
    cache.put("own", {"name": "own", "x": 1.0})
    rows = [{"name": "own", "x": 2.0}, {"name": "other", "x": 3.0}]
    write_json(tmp_path / "result.json", {"configuration_hash": cache.key, "rows": rows})
    assert cache.take_over(tmp_path / "result.json") == 1
    assert cache.get("own") == {"name": "own", "x": 1.0}
    assert cache.get("other") == {"name": "other", "x": 3.0}


NO_RESULTS = ["{", "[]", '{"rows": []}', '{"configuration_hash": "a", "rows": [1]}', UPWARDS, None]


@pytest.mark.parametrize("content", NO_RESULTS)
def test_what_is_no_result_is_not_taken_over(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"result\.json cannot be gone on from: it is no result file"):
        ResultCache(tmp_path, {}).take_over(tmp_path / "result.json")


def test_runs_of_another_configuration_are_not_taken_over(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, {"steps": 3})
    write_json(tmp_path / "result.json", {"configuration_hash": "abc", "rows": [{"name": "part"}]})
    with pytest.raises(ConfigError, match=f"configuration abc, and this is {cache.key}"):
        cache.take_over(tmp_path / "result.json")
    assert cache.get("part") is None


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
