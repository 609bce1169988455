# SPDX-License-Identifier: Apache-2.0
"""The choice of a torch build, without a network and without installing anything."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "install_torch.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("install_torch", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("system", "machine", "nvidia", "expected"),
    [
        ("Linux", "x86_64", False, True),
        ("Linux", "x86_64", True, False),
        ("Linux", "aarch64", False, True),
        ("Darwin", "arm64", False, False),
        ("Windows", "AMD64", False, False),
    ],
)
def test_only_linux_without_a_driver_wants_the_cpu_build(script, system, machine, nvidia, expected):
    assert script.wants_cpu_build(system, machine, nvidia) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///wheels/torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("https://download.pytorch.org/whl/cpu/torch-2.13.0%2Bcpu-cp312-cp312-linux_x86_64.whl", True),
        ("https://files.pythonhosted.org/packages/ab/torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_cpu_builds_are_known_by_their_local_version(script, url, expected):
    assert script.is_cpu_build(url) is expected


def choose_among(script, monkeypatch, answers):
    """What `choose` takes when pip answers with these file names by label."""
    monkeypatch.setattr(script, "resolve", lambda choice, **_: answers.get(choice.label, []))
    return script.choose(cpu=True).label


def test_a_local_cpu_build_comes_first(script, monkeypatch):
    every = {choice.label: ["torch-2.13.0%2Bcpu.whl"] for choice in script.CPU_CHOICES}
    assert choose_among(script, monkeypatch, every) == script.CPU_CHOICES[0].label


def test_an_index_that_offers_only_cuda_is_passed_over(script, monkeypatch):
    answers = {
        script.CPU_CHOICES[1].label: ["torch-2.13.0-cp311.whl"],
        script.CPU_CHOICES[2].label: ["torch-2.13.0%2Bcpu.whl"],
    }
    assert choose_among(script, monkeypatch, answers) == script.CPU_CHOICES[2].label


def test_plain_pip_is_the_last_resort(script, monkeypatch):
    assert choose_among(script, monkeypatch, {}) == script.PLAIN.label


def test_with_a_driver_nothing_else_is_tried(script, monkeypatch):
    monkeypatch.setattr(script, "resolve", lambda *_, **__: pytest.fail("asked pip"))
    assert script.choose(cpu=False) == script.PLAIN


def test_the_size_of_local_files_is_summed_and_unknown_ones_are_said(script, tmp_path):
    wheel = tmp_path / "a b.whl"
    wheel.write_bytes(b"x" * 3_000_000)
    assert script.describe_size([wheel.as_uri()]) == "3 MB in 1 files"
    assert "1 of unknown size" in script.describe_size([wheel.as_uri(), "gopher://nowhere/torch.whl"])


@pytest.mark.parametrize(
    ("version", "expected"), [("2.13.0+cpu", True), ("2.11.0", True), ("2.9.1", False), ("3.0", True)]
)
def test_old_versions_are_replaced(script, version, expected):
    assert script.is_recent(version) is expected


def test_a_machine_without_the_program_has_no_driver(script, monkeypatch):
    monkeypatch.setattr(script.shutil, "which", lambda name: None)
    assert script.has_nvidia_driver() is False
