# SPDX-License-Identifier: Apache-2.0
"""Models of the server: keys and not paths, safetensors and not pickles, hashes on record."""

from __future__ import annotations

import hashlib
import json
import os
import sys

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from server.__main__ import app
from server.worker.model_store import ModelError, ModelStore, Source, check_key

SOURCES = [Source("owner/model", ("*",))]
WEIGHTS = save({"weight": torch.zeros(4)})


def hub(files: dict[str, bytes], *, stated: dict[str, str] | None = None):
    """A stand-in for the hub that leaves files as huggingface_hub does: links to blobs named by their hash."""

    def download(source, cache):
        folder = cache / f"models--{source.hub_id.replace('/', '--')}"
        snapshot, blobs = folder / "snapshots" / "main", folder / "blobs"
        for path in (snapshot, blobs):
            path.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            blob = blobs / (stated or {}).get(name, hashlib.sha256(data).hexdigest())
            blob.write_bytes(data)
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).unlink(missing_ok=True)
            (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
        return snapshot

    return download


GOOD = {"unet/model.safetensors": WEIGHTS, "unet/config.json": b"{}"}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the hub makes symbolic links")


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models", hub(GOOD))


def test_a_model_is_pulled_verified_and_removed(store):
    told = []
    files = store.pull("sd15", SOURCES, told.append)
    assert len(files) == 2
    assert any("owner/model" in text for text in told)
    assert store.verify("sd15") == []
    assert store.changed_files("sd15") == []
    assert store.remove("sd15", SOURCES)
    assert list(store.root.iterdir()) == []
    assert not store.remove("sd15", SOURCES)


def test_a_file_that_changes_later_is_noticed(store):
    store.pull("sd15", SOURCES)
    (weights,) = store.root.rglob("unet/model.safetensors")
    weights.resolve().write_bytes(WEIGHTS[:-1] + b"\x01")
    assert [path.rpartition("/")[2] for path in store.changed_files("sd15")] == ["model.safetensors"]
    assert "other bytes" in store.verify("sd15")[0]
    weights.unlink()
    assert "missing" in store.verify("sd15")[0]


@pytest.mark.parametrize("name", ["unet/model.bin", "model.ckpt", "model.pt", "code.py", "weights.pkl", "README.md"])
def test_anything_that_may_run_code_is_refused_and_nothing_stays(tmp_path, name):
    """CVE-2025-32434 and CVE-2026-24747: not even torch.load(weights_only=True) may see a checkpoint."""
    store = ModelStore(tmp_path, hub({**GOOD, name: b"\x80\x04"}))
    with pytest.raises(ModelError, match="refused"):
        store.pull("sd15", SOURCES)
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_under_another_name_is_refused(tmp_path):
    store = ModelStore(tmp_path, hub({"model.safetensors": b"\x80\x04\x95" + bytes(100)}))
    with pytest.raises(ModelError, match="something else"):
        store.pull("sd15", SOURCES)


def test_bytes_that_differ_from_the_stated_hash_are_refused(tmp_path):
    store = ModelStore(tmp_path, hub({"model.safetensors": WEIGHTS}, stated={"model.safetensors": "a" * 64}))
    with pytest.raises(ModelError, match="does not have the hash"):
        store.pull("sd15", SOURCES)


def test_a_link_that_leads_out_is_refused(tmp_path):
    """CVE-2026-27905 (BentoML) and ComfyUI #12285: a link in a model's folder that leads somewhere else."""
    secret = tmp_path / "secret.json"
    secret.write_text("{}")

    def download(source, cache):
        folder = cache / "models--owner--model"
        folder.mkdir()
        (folder / "config.json").symlink_to(secret)
        return folder

    with pytest.raises(ModelError, match="leads out"):
        ModelStore(tmp_path / "models", download).pull("sd15", SOURCES)
    assert secret.exists()


@pytest.mark.parametrize(
    "key", ["../sd15", "/etc/passwd", "sd15/..", "..", "SD15", "", "a" * 65, "sd99", "owner/model", "C:x"]
)
def test_keys_are_names_of_the_registry(store, key):
    """CVE-2026-24208 (Triton): a model's name that is a path."""
    with pytest.raises(ModelError, match="There is no model"):
        check_key(key, ("sd15", "sdxl"))
    for command in ("pull", "remove", "verify"):
        result = CliRunner().invoke(app, ["models", command, "--data", str(store.root), "--", key])
        assert result.exit_code == 2


def test_the_store_itself_takes_no_path_either(store):
    with pytest.raises(ModelError, match="is no model key"):
        store.verify("../../etc/passwd")
    with pytest.raises(ModelError, match="was not pulled"):
        store.verify("sd15")


def test_the_list_says_what_is_there(tmp_path):
    shown = CliRunner().invoke(app, ["models", "list", "--data", str(tmp_path)])
    assert shown.exit_code == 0
    assert "pocket" in shown.output
    assert "sdxl" in shown.output
    result = CliRunner().invoke(app, ["models", "pull", "pocket", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "comes with pgc" in result.output


@pytest.mark.parametrize("path", ["unet/\ud800.json", "unet/\0.json", 7, None])
def test_a_record_with_a_path_that_no_file_can_have_is_damaged(store, path):
    store.pull("sd15", SOURCES, lambda _text: None)
    record = store.root / "sd15.json"
    fields = json.loads(record.read_text())
    fields["files"][0]["path"] = path
    record.write_text(json.dumps(fields))
    for look in (store.verify, store.changed_files):
        with pytest.raises(ModelError, match="record of sd15 is damaged"):
            look("sd15")
