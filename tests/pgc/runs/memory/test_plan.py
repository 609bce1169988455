# SPDX-License-Identifier: Apache-2.0
"""Plans for graphics cards of several sizes, whose free memory is a patched table."""

from __future__ import annotations

from dataclasses import replace

import psutil
import pytest
import torch

from pgc.distillation.vsd import VSDConfig
from pgc.errors import ConfigError
from pgc.guidance.diffusion.added.specs import AddedFiles, IpAdapterSpec
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.memory.savings import MemorySavings
from pgc.guidance.models import KNOWN_MODELS
from pgc.guidance.specs import FluxSpec, GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.runs.memory.costs import COSTS
from pgc.runs.memory.needs import needed_gb, readers_gb, texture_needs
from pgc.runs.memory.plan import DeviceMemory, MemoryPlan, MemoryPlanner, SubjectPlanner, cap_memory, device_memory
from pgc.runs.memory.speeds import in_words
from pgc.runs.settings.presets import preset_settings, with_maps, with_overrides

GB = 10**9
CARD = torch.device("cuda", 0)
VSD = VSDConfig()


def planner(spec: GuidanceSpec, views: int | None = None, *, lit: bool = False) -> MemoryPlanner:
    settings = with_overrides(preset_settings("standard", spec), steps=1200, views=views, texture_size=2048)
    if lit:
        settings = with_maps(settings, spec, ("base_color", "roughness", "metallic", "normal"))
    return MemoryPlanner(spec=spec, settings=settings, device=CARD)


def free(gigabytes: float, total: float = 24.0) -> DeviceMemory:
    return DeviceMemory(available=int(gigabytes * GB), total=int(total * GB))


def test_what_costs_time_alone_goes_before_what_costs_quality() -> None:
    whole = MemoryPlan(views=4, resolution=1024)
    lean = replace(whole, view_by_view=True, rows=10)
    last = replace(lean, streamed=True, views=1, view_by_view=False, rows=1)
    assert planner(SDXLSpec()).plans == (
        whole,
        lean,
        replace(lean, streamed=True),
        replace(lean, streamed=True, views=2),
        last,
        replace(last, resolution=768, image_size=768),
        replace(last, resolution=512, image_size=512),
    )
    small = StableDiffusionSpec(run=LatentDiffusionConfig(image_size=256, sequential_guidance=True))
    assert planner(small, views=1).plans == (
        MemoryPlan(views=1, resolution=512, image_size=256),
        MemoryPlan(views=1, resolution=512, image_size=256, streamed=True),
        MemoryPlan(views=1, resolution=384, image_size=256, streamed=True),
        MemoryPlan(views=1, resolution=256, image_size=256, streamed=True),
    )
    assert [plan.views for plan in planner(OracleSpec(), views=5).plans] == [5, 2, 1, 1, 1]
    assert not any(plan.view_by_view or plan.rows for plan in planner(OracleSpec(), views=5).plans)
    tiny = with_overrides(preset_settings("standard", OracleSpec()), views=1, resolution=64)
    assert len(MemoryPlanner(spec=OracleSpec(), settings=tiny, device=CARD).plans) == 1


def test_what_is_asked_of_a_models_memory_is_kept_in_every_plan() -> None:
    asked = MemorySavings(rows=2, streamed=True)
    which = planner(SDXLSpec(run=LatentDiffusionConfig(memory=asked)))
    for number, plan in enumerate(which.plans):
        spec, _, _ = which.apply(number)
        assert isinstance(spec, SDXLSpec)
        assert spec.run.memory.streamed
        assert plan.rows is not None
        assert plan.rows <= 2
    assert which.apply(0)[0] == which.spec


def test_weights_wait_only_where_there_is_another_memory_and_nothing_is_learnt() -> None:
    learning = planner(SDXLSpec())
    learning = replace(
        learning, settings=replace(learning.settings, optimize=replace(learning.settings.optimize, distillation=VSD))
    )
    mac = replace(planner(SDXLSpec()), device=torch.device("mps", 0))
    for which in (learning, mac, planner(PocketSpec(), views=2)):
        assert not any(plan.streamed for plan in which.plans)
        assert any(plan.view_by_view for plan in which.plans)
    assert any(plan.streamed for plan in planner(FluxSpec()).plans)


@pytest.mark.parametrize(
    ("spec", "lit", "needs"),
    [
        # 7.63 of weights, .17 of the autoencoder, 4 x 2.42 of its gradient, .54 of views, .43 of texels, .4 besides.
        (SDXLSpec(), False, (19.1, 11.7, 4.1)),
        (SDXLSpec(), True, (22.2, 14.7, 7.2)),
        (StableDiffusionSpec(), False, (6.4, 4.2, 1.9)),
        (StableDiffusionSpec(), True, (7.8, 5.7, 3.4)),
    ],
)
def test_needs_are_the_sum_of_what_was_counted(spec, lit: bool, needs: tuple[float, ...]) -> None:
    which = planner(spec, 4, lit=lit)
    found = [which.estimate_bytes(number) / GB for number in range(3)]
    assert found == pytest.approx(needs, abs=0.06)


def test_the_goals_are_reached_by_count() -> None:
    """SDXL at 1024 pixels in 7.5 GB (7.6 lit), Stable Diffusion at 512 in 8 GB, with all that was asked for."""
    for lit in (False, True):
        sdxl, sd = planner(SDXLSpec(), 4, lit=lit), planner(StableDiffusionSpec(), 4, lit=lit)
        for which, gigabytes, side in ((sdxl, 7.6 if lit else 7.5, 1024), (sd, 8.0, 512)):
            plan = which.plans[which.choose(free(gigabytes, total=8.6))]
            assert (plan.views, plan.resolution, plan.image_size) == (4, side, None)
            assert plan.streamed == (which is sdxl)


def test_each_plan_needs_less_than_the_one_before() -> None:
    for spec in (SDXLSpec(), StableDiffusionSpec(), PocketSpec(), OracleSpec(), FluxSpec()):
        for lit in (False, True):
            which = planner(spec, 4, lit=lit)
            needs = [which.estimate_bytes(number) for number in range(len(which.plans))]
            assert needs == sorted(needs, reverse=True)
            assert len(set(needs)) == len(needs)


def test_single_precision_needs_twice_as_much_of_the_prior() -> None:
    half = planner(SDXLSpec()).estimate_bytes(0)
    single = planner(SDXLSpec(run=LatentDiffusionConfig(dtype="float32"))).estimate_bytes(0)
    assert 1.8 < single / half < 2.0


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        (80.0, (4, False, False, 1024)),
        (22.0, (4, False, False, 1024)),
        (15.0, (4, True, False, 1024)),
        (12.0, (4, True, True, 1024)),
        (4.2, (2, True, True, 1024)),
        (3.0, (1, False, True, 768)),
    ],
)
def test_the_first_plan_that_fits_is_chosen_and_said(gigabytes, expected) -> None:
    which = planner(SDXLSpec())
    memory = free(gigabytes)
    number = which.choose(memory)
    spec, settings, plan = which.apply(number)
    assert (plan.views, plan.view_by_view, plan.streamed, plan.resolution) == expected
    assert (settings.optimize.views, settings.optimize.resolution) == (plan.views, plan.resolution)
    assert isinstance(spec, SDXLSpec)
    assert spec.run.memory == MemorySavings(rows=plan.rows, streamed=plan.streamed)
    assert not spec.run.sequential_guidance
    if number:
        said = which.describe(number, memory)
        assert f"{memory.available / GB:.1f} GB are free" in said
        assert "needs about 19 GB" in said


ADAPTED = AddedFiles(ip_adapter=IpAdapterSpec(path="a", sha256="", image_encoder="b"))


def test_an_ip_adapter_counts_on_the_card_and_its_reader_in_main_memory() -> None:
    plain, seen = planner(SDXLSpec()), planner(SDXLSpec(added=ADAPTED))
    more = [seen.estimate_bytes(number) - plain.estimate_bytes(number) for number in range(len(plain.plans))]
    own = COSTS["sdxl"].adapter * GB
    assert more == pytest.approx([0.0 if plan.streamed else own for plan in plain.plans], abs=2.0)
    assert readers_gb(seen.spec) - readers_gb(plain.spec) == pytest.approx(COSTS["sdxl"].picture_reader)
    # Where four views at once fitted by less than that, they go one after the other.
    tight = free(1.06 * plain.estimate_bytes(0) / GB)
    assert (plain.choose(tight), seen.choose(tight)) == (0, 1)
    # Shapes and volumes have the same planner.
    needs = texture_needs(plain.settings)
    shapes = [SubjectPlanner(spec=one.spec, subject=needs, device=CARD).estimate_bytes(0) for one in (plain, seen)]
    assert shapes[1] - shapes[0] == pytest.approx(own, abs=2.0)


def test_on_a_mac_what_reads_prompts_and_pictures_lies_in_the_same_memory() -> None:
    mac = [replace(planner(SDXLSpec(added=added)), device=torch.device("mps")) for added in (AddedFiles(), ADAPTED)]
    plain, seen = (needed_gb(one.plans[0], one.spec, one.needs, one.device) for one in mac)
    cost, spec = COSTS["sdxl"], replace(SDXLSpec(), added=ADAPTED)
    on_card = needed_gb(mac[0].plans[0], SDXLSpec(), mac[0].needs, CARD)
    assert plain - on_card >= cost.readers
    assert seen - plain == pytest.approx(cost.adapter + cost.picture_reader)
    assert readers_gb(spec) == pytest.approx(cost.readers + cost.picture_reader)


def test_weights_wait_only_where_the_main_memory_takes_them() -> None:
    which = planner(SDXLSpec())
    for host, expected in ((32.0, 2), (11.3, 2), (11.2, None)):
        memory = replace(free(8.0, total=8.6), host=int(host * GB))
        if expected is None:
            with pytest.raises(ConfigError, match="even with one small view"):
                which.choose(memory)
        else:
            assert which.choose(memory) == expected
    scarce = replace(free(8.0), host=int(4 * GB))
    assert which.after(0, scarce) == 1
    assert which.after(1, scarce) is None
    assert which.after(1) == 2


def test_an_explicit_wish_is_overruled_aloud() -> None:
    which = planner(SDXLSpec(), views=8)
    memory = free(4.2)
    assert "2 instead of 8 views a step" in which.describe(which.choose(memory), memory)
    assert "one view after the other, which takes about a sixth longer" in which.describe(1, free(14.0))
    assert "the model's weights in main memory, which takes about a second more" in which.describe(2, free(8.0))


def test_a_card_that_is_too_small_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match=r"about 1\.\d GB .* 1\.0 of its 2\.0 GB are free.*model \(sd15"):
        planner(SDXLSpec()).choose(free(1.0, total=2.0))
    # Nearly enough is tried: the figures are estimates.
    which = planner(SDXLSpec())
    last = len(which.plans) - 1
    assert which.choose(free(which.estimate_bytes(last) / GB + 0.01)) == last


def test_what_was_chosen_is_said_before_the_start_with_a_time_for_a_card_that_is_known(monkeypatch) -> None:
    which = planner(SDXLSpec())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce RTX 4090")
    assert which.announce(0, free(23.5)) == (
        "Fits this graphics card (19.1 of 23.5 GB free): about 29 min, by computation."
    )
    assert which.announce(1, free(12.3)) == (
        "Fits this graphics card (11.7 of 12.3 GB free) with one view after the other: about 34 min, by computation."
    )
    said = which.announce(2, free(8.0))
    assert said is not None
    assert "with one view after the other and the model in main memory: about 46 min" in said
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce RTX 4090 Laptop GPU")
    assert which.announce(0, free(23.5)) == "Fits this graphics card (19.1 of 23.5 GB free)."
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    flow = planner(FluxSpec()).announce(0, free(141.0))
    assert flow is not None
    assert "min" not in flow, "its operations were not counted"
    assert which.announce(0, None) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "about 1 s"),
        (40.0, "about 40 s"),
        (100.0, "about 2 min"),
        (5000.0, "about 83 min"),
        (9000.0, "about 2.5 h"),
        (43200.0, "about 12 h"),
    ],
)
def test_times_are_round(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_weights_that_wait_cost_their_way_over_the_bus() -> None:
    which = planner(SDXLSpec())
    steps = which.settings.optimize.steps
    there, waiting = (which.expected_seconds(number, "RTX 3060") for number in (1, 2))
    assert there is not None
    assert waiting is not None
    # 7.63 GB at 12 GB a second, once a step.
    assert (waiting - there) / steps == pytest.approx(7.63 / 12, rel=0.01)
    warm = replace(which.settings.optimize, warm_start=WarmStartConfig(views=8, steps=12))
    longer = replace(which, settings=replace(which.settings, optimize=warm)).expected_seconds(1, "RTX 3060")
    # Four views a step.
    assert longer == pytest.approx(there / steps * (steps + 24))
    assert which.expected_seconds(0, "GTX 1080") is None
    assert planner(OracleSpec()).expected_seconds(0, "RTX 3060") is None


def test_a_plan_counts_the_decoder_where_light_is_explained() -> None:
    which = planner(StableDiffusionSpec(), lit=True)
    explained = replace(which.settings.optimize, explained_light=ExplainedLightConfig())
    plain, found = (
        texture_needs(replace(which.settings, optimize=one)) for one in (which.settings.optimize, explained)
    )
    assert not plain.decodes
    assert found.decodes
    last = replace(which.plans[-1], view_by_view=True, rows=1)
    assert needed_gb(last, which.spec, found, CARD) >= needed_gb(last, which.spec, plain, CARD)


def test_a_plan_that_failed_is_not_chosen_again() -> None:
    which = planner(SDXLSpec())
    assert which.choose(free(80.0), least=2) == 2
    assert which.choose(None, least=3) == 3
    assert which.choose(None) == 0


def test_a_plan_that_there_is_not_is_the_nearest_one() -> None:
    sdxl = planner(SDXLSpec())
    assert [sdxl.choose(None, number) for number in (-2, 0, 6, 7, 99)] == [0, 0, 6, 6, 6]
    assert sdxl.choose(free(80.0), 99) == 6
    assert sdxl.apply(99) == sdxl.apply(6)
    assert sdxl.apply(-1) == sdxl.apply(0)


def test_memory_that_ran_out_is_said_with_what_it_costs() -> None:
    which = planner(OracleSpec(), views=2)
    assert which.describe(1).startswith(
        "The graphics card ran out of memory: the job goes on with 1 instead of 2 views"
    )
    assert "views of 96 instead of 128 pixels" in which.describe(2, since=1)
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
    assert memory is not None
    assert (memory.available, memory.total) == (7 * GB, 8 * GB)
    assert memory.host is not None
    assert 0 < memory.host <= psutil.virtual_memory().total
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
    memory = device_memory(torch.device("mps", 0))
    assert memory is not None
    assert (memory.available, memory.total) == (14 * GB, 16 * GB)


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
            "Ask for a smaller texture than the one of 4096 x 4096 pixels, which alone takes about 4.4 GB. Else: close "
            "other programs that use the graphics card (a render in Blender among them), take a smaller model (sd15).",
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


def test_a_front_view_is_counted_and_the_prior_is_not_asked_about_it() -> None:
    spec, plan = StableDiffusionSpec(), MemoryPlan(views=4, resolution=1024)
    settings = preset_settings("standard", spec)
    fronted = replace(settings, optimize=replace(settings.optimize, front_scale=1.0))
    needs, more = texture_needs(settings), texture_needs(fronted)
    assert needed_gb(plan, OracleSpec(), more, CARD) - needed_gb(plan, OracleSpec(), needs, CARD) == pytest.approx(
        needs.peak
    )
    assert needed_gb(plan, spec, more, CARD) - needed_gb(plan, spec, needs, CARD) <= needs.peak
