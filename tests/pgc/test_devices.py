# SPDX-License-Identifier: Apache-2.0
"""Which device a name means, on machines made of patched tables and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pgc.devices import (
    Machine,
    NvidiaCard,
    find_nvidia_card,
    release_cached_memory,
    resolve_device,
    unused_accelerator,
    with_index,
)
from pgc.errors import ConfigError
from pgc.guidance.specs import OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.prior_device import check_prior_fits

CPU = torch.device("cpu")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch):
    """Sets what torch and the machine say of their cards."""

    def set_up(
        *,
        cuda: bool = False,
        mps: bool = False,
        torch_version: str = "2.13.0+cpu",
        cuda_version: str | None = None,
        current: int = 0,
        arches: tuple[str, ...] = ("sm_75", "sm_90", "compute_120"),
        capability: tuple[int, int] = (9, 0),
        hip: str | None = None,
        card: NvidiaCard | None = None,
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(arches))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch, "__version__", torch_version)
        monkeypatch.setattr(torch.version, "cuda", cuda_version)
        monkeypatch.setattr(torch.version, "hip", hip)
        monkeypatch.setattr("pgc.devices.find_nvidia_card", lambda machine=None: card)

    return set_up


def test_every_device_that_is_found_has_an_index(tables) -> None:
    tables()
    assert resolve_device("cpu") == resolve_device("auto") == CPU
    tables(cuda=True, current=1)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 1)
    assert with_index("cuda") == torch.device("cuda", 1)
    assert with_index(torch.device("cuda", 3)) == torch.device("cuda", 3)
    assert with_index("cpu") == CPU
    tables(mps=True)
    assert resolve_device("auto") == resolve_device("mps") == torch.device("mps", 0)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(tables, name) -> None:
    tables()
    with pytest.raises(ConfigError, match=f"finds no {name} device; usable here: cpu"):
        resolve_device(name)


def test_mps_needs_the_torch_whose_fetch_can_be_learnt_through(tables) -> None:
    tables(mps=True, torch_version="2.12.1")
    with pytest.raises(ConfigError, match=r"before torch 2.13; update it"):
        resolve_device("mps")
    assert resolve_device("auto") == CPU
    tables(mps=True, torch_version="2.13.0a0+git1")
    assert resolve_device("mps").type == "mps"
    tables(mps=True, torch_version="3.0.0")
    assert resolve_device("mps").type == "mps"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"card": NvidiaCard(has_driver=False)}, "driver is not loaded; install the driver"),
        ({"card": NvidiaCard(has_driver=True)}, "is built without CUDA; install PyTorch with CUDA"),
        (
            {"card": NvidiaCard(has_driver=True, driver="470.82.01"), "cuda_version": "13.0"},
            r"its driver \(470.82.01\) does not serve this torch .* built for CUDA 13.0; update the driver",
        ),
        (
            {"cuda": True, "capability": (5, 2), "cuda_version": "13.0"},
            r"no kernels for the NVIDIA card .* capability 5.2 \(kernels begin at 7.5\)",
        ),
        ({"cuda": True, "capability": (12, 1), "arches": ("sm_75", "sm_90")}, "no kernels for .* 12.1"),
    ],
)
def test_a_card_that_lies_idle_is_told_with_what_to_install(tables, given, says) -> None:
    tables(**given)
    why = unused_accelerator()
    assert why is not None
    assert resolve_device("auto") == CPU
    with pytest.raises(ConfigError, match=says):
        resolve_device("cuda")
    # Nobody chose the CPU: a big prior is refused, a small one runs and says so.
    for big in (SDXLSpec(), StableDiffusionSpec()):
        with pytest.raises(ConfigError, match=f"{says}.*days; with --device cpu"):
            check_prior_fits(big, "auto", CPU, why)
        assert check_prior_fits(big, "cpu", CPU, why) == ()
    for small in (PocketSpec(), OracleSpec()):
        (note,) = check_prior_fits(small, "auto", CPU, why)
        assert note == f"The run takes the CPU. {why}"


@pytest.mark.parametrize(
    "given",
    [
        {"capability": (8, 6), "arches": ("sm_80", "sm_90")},
        {"capability": (12, 1), "arches": ("sm_75", "compute_90")},
        {"capability": (9, 0), "arches": ("sm_90a",)},
        {"capability": (10, 3), "arches": ("sm_100",)},
        {"capability": (9, 4), "arches": ("gfx942",), "hip": "6.3"},
        {"capability": (9, 0), "arches": ()},
    ],
)
def test_a_card_with_kernels_is_used(tables, given) -> None:
    tables(cuda=True, **given)
    assert unused_accelerator() is None
    assert resolve_device("auto").type == "cuda"


def test_a_machine_without_a_card_is_told_once_for_a_big_prior(tables) -> None:
    tables()
    assert check_prior_fits(PocketSpec(), "auto", CPU, unused_accelerator()) == ()
    (note,) = check_prior_fits(SDXLSpec(), "auto", CPU, unused_accelerator())
    assert "no graphics card" in note
    assert check_prior_fits(SDXLSpec(), "auto", torch.device("cuda", 0), None) == ()


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _pci(root: Path, number: str, vendor: str, kind: str) -> None:
    _write(root, f"sys/bus/pci/devices/{number}/vendor", vendor + "\n")
    _write(root, f"sys/bus/pci/devices/{number}/class", kind + "\n")


_NVRM = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC version: gcc 13.3.0\n"


def _tool(root: Path) -> dict[str, str]:
    _write(root, "bin/nvidia-smi", "#!/bin/sh\n")
    _write(root, "bin/nvidia-smi.exe", "")
    (root / "bin/nvidia-smi").chmod(0o755)
    return {"PATH": str(root / "bin")}


def test_linux_shows_its_card_in_proc_and_sys(tmp_path: Path) -> None:
    def found(**environment: str) -> NvidiaCard | None:
        return find_nvidia_card(Machine(root=tmp_path, platform="linux", environment={"PATH": "", **environment}))

    assert found() is None
    # The tool alone is no card: clusters install it everywhere.
    assert found(**_tool(tmp_path)) is None
    _pci(tmp_path, "0000:00:02.0", "0x8086", "0x030000")
    _pci(tmp_path, "0000:00:1f.3", "0x10de", "0x040300")  # the card's sound
    assert found() is None
    _pci(tmp_path, "0000:01:00.0", "0x10de", "0x030200")
    assert found() == NvidiaCard(has_driver=False)
    _write(tmp_path, "proc/driver/nvidia/version", _NVRM)
    assert found() == NvidiaCard(has_driver=True, driver="580.95.05")
    _write(tmp_path, "proc/driver/nvidia/version", "something else")
    assert found() == NvidiaCard(has_driver=True)


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles", " "])
def test_a_card_that_is_hidden_on_purpose_is_none(tmp_path: Path, hidden: str) -> None:
    _write(tmp_path, "proc/driver/nvidia/version", _NVRM)
    environment = {"CUDA_VISIBLE_DEVICES": hidden}
    assert find_nvidia_card(Machine(root=tmp_path, platform="linux", environment=environment)) is None
    assert find_nvidia_card(Machine(root=tmp_path, platform="linux", environment={"CUDA_VISIBLE_DEVICES": "1"}))


def test_wsl_and_windows_show_the_drivers_tool(tmp_path: Path) -> None:
    nothing = {"PATH": ""}
    _write(tmp_path, "dev/dxg", "")
    assert find_nvidia_card(Machine(root=tmp_path, platform="linux", environment=nothing)) is None
    _write(tmp_path, "usr/lib/wsl/lib/nvidia-smi", "")
    assert find_nvidia_card(Machine(root=tmp_path, platform="linux", environment=nothing)) is not None
    assert find_nvidia_card(Machine(root=tmp_path, platform="win32", environment=nothing)) is None
    assert find_nvidia_card(Machine(root=tmp_path, platform="win32", environment=_tool(tmp_path))) is not None


@pytest.mark.slow
def test_memory_is_given_back_to_whatever_card_there_is(tables, monkeypatch) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    for there in ({}, {"cuda": True}, {"mps": True}):
        tables(**there)
        release_cached_memory()
    assert emptied == ["cuda", "mps"]
