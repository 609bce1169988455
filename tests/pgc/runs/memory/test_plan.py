# SPDX-License-Identifier: Apache-2.0
"""Plans for graphics cards of several sizes, whose free memory is a patched table."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pgc.errors import ConfigError
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.models import KNOWN_MODELS
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.runs.memory.plan import DeviceMemory, MemoryPlan, MemoryPlanner, cap_memory, device_memory
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides

GB = 10**9
CARD = torch.device("cuda", 0)


def planner(spec: GuidanceSpec, views: int | None = None, *, lit: bool = False) -> MemoryPlanner:
    settings = with_overrides(preset_settings("standard", spec), views=views)
    if lit:
        settings = with_maps(settings, spec, ("base_color", "roughness", "metallic", "normal"))
    return MemoryPlanner(spec=spec, settings=settings, device=CARD)


def free(gigabytes: float, total: float = 24.0) -> DeviceMemory:
    return DeviceMemory(available=int(gigabytes * GB), total=int(total * GB))


def test_what_costs_time_alone_goes_before_what_costs_quality() -> None:
    assert planner(SDXLSpec()).plans == (
        MemoryPlan(views=4, resolution=1024),
        MemoryPlan(views=4, resolution=1024, view_by_view=True),
        MemoryPlan(views=2, resolution=1024, view_by_view=True),
        MemoryPlan(views=1, resolution=1024, view_by_view=True),
        MemoryPlan(views=1, resolution=512, image_size=512, view_by_view=True),
    )
    small = StableDiffusionSpec(run=LatentDiffusionConfig(image_size=256, sequential_guidance=True))
    assert planner(small, views=1).plans == (
        MemoryPlan(views=1, resolution=512, image_size=256),
        MemoryPlan(views=1, resolution=256, image_size=256),
    )
    assert [plan.views for plan in planner(OracleSpec(), views=5).plans] == [5, 2, 1, 1]
    assert not any(plan.view_by_view for plan in planner(OracleSpec(), views=5).plans)
    tiny = with_overrides(preset_settings("standard", OracleSpec()), views=1, resolution=64)
    assert len(MemoryPlanner(spec=OracleSpec(), settings=tiny, device=CARD).plans) == 1


@pytest.mark.parametrize(
    ("spec", "views", "lit", "computed"),
    [
        # What the reference table computed on the meta device.
        (SDXLSpec(), 4, False, 38.0),
        (SDXLSpec(), 4, True, 41.0),
        (SDXLSpec(), 2, False, 24.0),
        (SDXLSpec(), 1, False, 17.0),
        (StableDiffusionSpec(), 4, False, 10.3),
    ],
)
def test_estimates_are_those_that_were_computed(spec, views, lit, computed) -> None:
    assert planner(spec, views, lit=lit).estimate_bytes(0) / GB == pytest.approx(computed, rel=0.06)


def test_each_plan_needs_less_than_the_one_before() -> None:
    for spec in (SDXLSpec(), StableDiffusionSpec(), PocketSpec()):
        for lit in (False, True):
            which = planner(spec, 4, lit=lit)
            needs = [which.estimate_bytes(number) for number in range(len(which.plans))]
            assert needs == sorted(needs, reverse=True)
            assert needs[0] > needs[1]


def test_single_precision_needs_twice_as_much_of_the_prior() -> None:
    half = planner(SDXLSpec()).estimate_bytes(0)
    single = planner(SDXLSpec(run=LatentDiffusionConfig(dtype="float32"))).estimate_bytes(0)
    assert 1.8 < single / half < 2.0


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        (80.0, (4, False, 1024)),
        (22.0, (4, True, 1024)),
        (18.0, (2, True, 1024)),
        (17.8, (1, True, 1024)),
        (13.0, (1, True, 512)),
    ],
)
def test_the_first_plan_that_fits_is_chosen_and_said(gigabytes, expected) -> None:
    which = planner(SDXLSpec())
    memory = free(gigabytes)
    number = which.choose(memory)
    spec, settings, plan = which.apply(number)
    assert (plan.views, plan.view_by_view, plan.resolution) == expected
    assert (settings.optimize.views, settings.optimize.resolution) == (plan.views, plan.resolution)
    assert isinstance(spec, SDXLSpec)
    assert spec.run.sequential_guidance == plan.view_by_view
    if number:
        said = which.describe(number, memory)
        assert f"{memory.available / GB:.1f} GB are free" in said
        assert "needs about 38 GB" in said


def test_an_explicit_wish_is_overruled_aloud() -> None:
    which = planner(SDXLSpec(), views=8)
    memory = free(17.0)
    assert "1 instead of 8 views a step" in which.describe(which.choose(memory), memory)
    assert "one view after the other, which takes about a sixth longer" in which.describe(1, free(25.0))


def test_a_card_that_is_too_small_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match=r"about 12\.\d GB .* 7\.5 of its 8\.0 GB are free.*model \(sd15"):
        planner(SDXLSpec()).choose(free(7.5, total=8.0))
    # Nearly enough is tried: the figures are estimates.
    which = planner(SDXLSpec())
    last = len(which.plans) - 1
    assert which.choose(free(which.estimate_bytes(last) / GB + 0.01)) == last


def test_a_plan_that_failed_is_not_chosen_again() -> None:
    which = planner(SDXLSpec())
    assert which.choose(free(80.0), least=2) == 2
    assert which.choose(None, least=3) == 3
    assert which.choose(None) == 0


def test_a_plan_that_there_is_not_is_the_nearest_one() -> None:
    sdxl = planner(SDXLSpec())
    assert [sdxl.choose(None, number) for number in (-2, 0, 4, 5, 99)] == [0, 0, 4, 4, 4]
    assert sdxl.choose(free(80.0), 99) == 4
    assert sdxl.apply(99) == sdxl.apply(4)
    assert sdxl.apply(-1) == sdxl.apply(0)


def test_memory_that_ran_out_is_said_with_what_it_costs() -> None:
    which = planner(OracleSpec(), views=2)
    assert which.describe(1).startswith(
        "The graphics card ran out of memory: the job goes on with 1 instead of 2 views"
    )
    assert "views of 64 instead of 128 pixels" in which.describe(2, since=1)
    on_cpu = replace(which, device=torch.device("cpu"))
    assert on_cpu.describe(1).startswith("This machine ran out of memory: the job goes on")


def test_the_promise_of_the_models_list_is_the_least_plan_of_full_quality() -> None:
    """`memory_gb` is for a whole view at full size, one at a time."""
    for model, spec in (("sd15", StableDiffusionSpec()), ("sdxl", SDXLSpec())):
        (known,) = (known for known in KNOWN_MODELS if known.key == model)
        which = planner(spec)
        number = which.choose(free(known.memory_gb))
        plan = which.plans[number]
        assert (plan.resolution, plan.image_size) == (which.plans[0].resolution, None)


def test_free_memory_is_asked_of_the_device(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 * GB, 8 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GB)
    memory = device_memory(CARD)
    # What this process holds already, it may use again.
    assert memory == DeviceMemory(available=7 * GB, total=8 * GB)
    assert device_memory(torch.device("cpu")) is None
    capped = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: capped.append(given))
    cap_memory(CARD, memory, platform="linux")
    cap_memory(torch.device("cpu"), None, platform="win32")
    assert capped == []
    cap_memory(CARD, memory, platform="win32")
    assert capped == [(7 / 8, CARD)]


def test_apples_memory_is_what_it_recommends_without_what_others_hold(monkeypatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16 * GB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 3 * GB)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 1 * GB)
    assert device_memory(torch.device("mps", 0)) == DeviceMemory(available=14 * GB, total=16 * GB)


def sized(side: int, device: torch.device, *, lit: bool = False, spec: GuidanceSpec | None = None) -> MemoryPlanner:
    spec = OracleSpec() if spec is None else spec
    settings = with_overrides(preset_settings("standard", spec), texture_size=side)
    if lit:
        settings = with_maps(settings, spec, ("base_color", "roughness", "metallic", "normal"))
    return MemoryPlanner(spec=spec, settings=settings, device=device)


@pytest.mark.parametrize(
    ("side", "lit", "said"),
    [(8192, False, "about 6.4 GB"), (8192, True, "about 17.6 GB"), (4096, False, "about 1.6 GB")],
)
def test_a_texture_that_takes_most_of_the_memory_is_named_first(side: int, lit: bool, said: str) -> None:
    """It was never named: what was said is that views of 64 pixels go on instead of 64."""
    text = sized(side, torch.device("cpu"), lit=lit).suggestion()
    assert text.startswith(
        f"Ask for a smaller texture than the one of {side} x {side} pixels, which alone takes {said}."
    )


def test_nobody_is_sent_to_a_graphics_card_that_is_not_used() -> None:
    for spec in (OracleSpec(), PocketSpec(), StableDiffusionSpec()):
        on_cpu = sized(1024, torch.device("cpu"), spec=spec).suggestion()
        assert "graphics card" not in on_cpu
        assert on_cpu.startswith("Close other programs")
        assert "1024 x 1024" in on_cpu
    assert "graphics card" in sized(1024, CARD).suggestion()


@pytest.mark.parametrize(
    ("side", "lit", "spec", "device", "said"),
    [
        (
            1024, False, SDXLSpec(), CARD,
            "Close other programs that use the graphics card (a render in Blender among them), take a smaller model "
            "(sd15), or ask for a smaller texture than the one of 1024 x 1024 pixels.",
        ),
        (
            8192, True, PocketSpec(), CARD,
            "Ask for a smaller texture than the one of 8192 x 8192 pixels, which alone takes about 17.6 GB. Else: "
            "close other programs that use the graphics card (a render in Blender among them).",
        ),
        (
            4096, True, SDXLSpec(), CARD,
            "Close other programs that use the graphics card (a render in Blender among them), take a smaller model "
            "(sd15), or ask for a smaller texture than the one of 4096 x 4096 pixels, which alone takes about 4.4 GB.",
        ),
        (
            8192, False, StableDiffusionSpec(), torch.device("cpu"),
            "Close other programs, take the pocket prior, or ask for a smaller texture than the one of 8192 x 8192 "
            "pixels, which alone takes about 6.4 GB.",
        ),
        (
            256, False, OracleSpec(), torch.device("mps", 0),
            "Close other programs that use the graphics card (a render in Blender among them), or ask for a smaller "
            "texture than the one of 256 x 256 pixels.",
        ),
    ],
)  # fmt: skip
def test_what_takes_the_most_is_named_first_on_cards_and_with_priors_too(side, lit, spec, device, said) -> None:
    assert sized(side, device, lit=lit, spec=spec).suggestion() == said


def test_no_plan_has_as_many_pixels_as_the_one_before() -> None:
    """Views of 64 pixels in place of 64."""
    for resolution in (64, 65, 100, 512):
        settings = with_overrides(preset_settings("standard", OracleSpec()), views=1, resolution=resolution)
        plans = MemoryPlanner(spec=OracleSpec(), settings=settings, device=CARD).plans
        assert len(set(plans)) == len(plans)
        assert [plan.resolution for plan in plans] == sorted({plan.resolution for plan in plans}, reverse=True)
