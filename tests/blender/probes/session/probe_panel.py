# SPDX-License-Identifier: Apache-2.0
"""The panel drawn into a layout that records, in every state; and what its operators and choices do."""

import ast
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
from probe_session import ADDON, Rig, disable, enable
from probes import _plane


class _Button:
    """An operator's properties: only those that it has can be set."""

    def __init__(self, idname: str) -> None:
        group, name = idname.split(".")
        object.__setattr__(self, "known", getattr(getattr(bpy.ops, group), name).get_rna_type().properties.keys())

    def __setattr__(self, name: str, value: object) -> None:
        assert name in self.known, name


class Recorder:
    """Stands in for UILayout: everything that is drawn must exist, and its text is kept."""

    def __init__(self, log: list[tuple[str, str]] | None = None) -> None:
        self.log = [] if log is None else log

    def _part(self, *_: Any, **__: Any) -> "Recorder":
        return Recorder(self.log)

    row = column = box = split = column_flow = grid_flow = _part

    def separator(self, *_: Any, **__: Any) -> None:
        self.log.append(("separator", ""))

    def label(self, text: str = "", **_: Any) -> None:
        self.log.append(("label", text))

    def prop(self, data: Any, name: str, text: str | None = None, **_: Any) -> None:
        self.log.append(("prop", f"{data.bl_rna.properties[name].identifier}"))

    def prop_enum(self, data: Any, name: str, value: str, **_: Any) -> None:
        assert value in [item.identifier for item in data.bl_rna.properties[name].enum_items]
        self.log.append(("prop_enum", value))

    def prop_search(self, data: Any, name: str, source: Any, items: str, **_: Any) -> None:
        assert hasattr(source, items)
        self.prop(data, name)

    def operator(self, idname: str, text: str | None = None, **_: Any) -> _Button:
        self.log.append(("operator", idname))
        return _Button(idname)

    def operator_menu_enum(self, idname: str, name: str, **_: Any) -> None:
        category, _, operator = idname.partition(".")
        assert name in getattr(getattr(bpy.ops, category), operator).get_rna_type().properties, name
        self.log.append(("operator_menu_enum", idname))

    def menu(self, name: str, **_: Any) -> None:
        assert hasattr(bpy.types, name), name
        self.log.append(("menu", name))

    def popover(self, panel: str = "", **_: Any) -> None:
        self.log.append(("popover", panel))

    def progress(self, factor: float = 0.0, text: str = "", **_: Any) -> None:
        self.log.append(("progress", f"{text} {factor:.2f}"))

    def template_ID(self, data: Any, name: str, new: str = "", open: str = "", **_: Any) -> None:
        self.prop(data, name)
        for operator in filter(None, (new, open)):
            self.operator(operator)

    def template_icon(self, icon_value: int, **_: Any) -> None:
        assert icon_value > 0
        self.log.append(("icon", ""))

    def icon(self, block: Any) -> int:
        assert isinstance(block, bpy.types.ID)
        return 1

    def template_list(self, *_: Any, **__: Any) -> None:
        self.log.append(("list", ""))

    def panel(self, idname: str, **_: Any) -> tuple["Recorder", "Recorder"]:
        self.log.append(("panel", idname))
        return Recorder(self.log), Recorder(self.log)

    def context_pointer_set(self, *_: Any) -> None:
        pass


def draw(name: str = "PGC_PT_texture") -> list[tuple[str, str]]:
    """What the panel shows now."""
    layout = Recorder()
    panel = getattr(bpy.types, name)
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout.log


def status_bar() -> list[tuple[str, str]]:
    """What we add to Blender's status bar now."""
    layout = Recorder()
    for draw_part in bpy.types.STATUSBAR_HT_header.draw._draw_funcs:
        if draw_part.__module__.startswith("blender_addon"):
            draw_part(SimpleNamespace(layout=layout), bpy.context)
    return layout.log


def _texts(log: list[tuple[str, str]]) -> str:
    return " ".join(text for kind, text in log if kind in {"label", "progress"})


def _operators(log: list[tuple[str, str]]) -> list[str]:
    return [text for kind, text in log if kind == "operator"]


def states() -> Any:
    """The panel in every state of server and job, in the sidebar and in the material tab."""
    from blender_addon.client.events import Disconnected, Downloading
    from blender_addon.model.state import Phase, ServerState

    enable()
    found: dict[str, Any] = {"before anything": _operators(draw()), "no mesh": _texts(draw())}
    rig = Rig(connected=False)
    found["unknown"] = _texts(draw())
    rig.fake.say(Disconnected("No server answers.", 1.0, absent=True))
    rig.tick()
    found["absent"] = [_texts(draw()), _operators(draw())]
    rig.fake.say(rig.hello)
    rig.tick()
    found["ready"] = [_texts(draw()), _operators(draw()), _texts(draw("PGC_PT_material")) == _texts(draw())]
    bpy.context.scene.pgc.prompt = " "
    found["no prompt"] = [_texts(draw()), bpy.ops.pgc.generate.poll()]
    bpy.context.scene.pgc.prompt = "red bricks"
    idle = status_bar()
    view = rig.run()
    rig.preview()
    found["running"] = [_texts(draw()), _operators(draw())]
    found["status bar"] = [idle, status_bar()]
    rig.fake.say(Downloading("job-1", 1, 2))
    rig.tick()
    found["receiving"] = _texts(draw())
    bpy.context.view_layer.objects.active = _plane("Other")
    found["other object"] = [_texts(draw()), _operators(draw())]
    bpy.context.view_layer.objects.active = rig.obj
    rig.finish(view)
    found["finished"] = [_texts(draw()), _operators(draw())]
    short = len(_texts(draw()))
    view.note = "It knows " + ", ".join(["granite"] * 200)
    found["long note"] = [len(_texts(draw())) - short < 260, "granite, …" in " ".join(_texts(draw()).split())]
    view = rig.run("job-2")
    rig.fail(view, "RES.DISK")
    found["failed"] = [_texts(draw()), _operators(draw())]
    seen = 0
    for server in ServerState:
        for phase in Phase:
            rig.state.server.state, view.phase = server, phase
            for cancelling in (False, True):
                view.cancelling = cancelling
                draw()
                draw("PGC_PT_material")
                seen += 1
    found["combinations"] = seen
    bpy.context.view_layer.objects.active = None
    draw()
    disable()
    return found


def settings_drawn() -> Any:
    """Choices that show only when they matter."""
    from blender_addon.protocol.records import ModelInfo

    enable()
    rig = Rig(prompt="gnarly bricks")
    found: dict[str, Any] = {"strange": _texts(draw())}
    settings = bpy.context.scene.pgc
    settings.cameras = "rig"
    found["rig"] = _operators(draw())
    rig.obj.data.uv_layers.new(name="Second")
    found["uv"] = ("prop", "uv_map") in draw()
    found["maps"] = ("prop_enum", "roughness") in draw()
    rig.state.server.maps = ("base_color", "corner_uvs")
    found["new UVs"] = ("prop_enum", "roughness") in draw()
    rig.state.server.maps = ("base_color", "roughness")
    found["more maps"] = ("prop_enum", "roughness") in draw()
    found["slots"] = [("prop", "separate_slots") in draw()]
    while len(rig.obj.material_slots) < 2:
        rig.obj.data.materials.append(None)
    found["slots"].append(("prop", "separate_slots") in draw())
    settings.target = "slot"
    found["slots"].append(("prop", "separate_slots") in draw())
    settings.target = "object"
    rig.state.server.models = (
        ModelInfo("pocket", "installed"),
        ModelInfo("sdxl", "missing"),
        ModelInfo("sd21", "too_big"),
    )
    layout = Recorder()
    bpy.types.PGC_MT_models.draw(SimpleNamespace(layout=layout), bpy.context)
    found["models"] = [_operators(layout.log)]
    for name in ("PGC_MT_words", "PGC_MT_recent"):
        layout = Recorder()
        getattr(bpy.types, name).draw(SimpleNamespace(layout=layout), bpy.context)
        found[name] = len(layout.log)
    settings.model = "sdxl"
    found["other model"] = [("menu", "PGC_MT_words") in draw(), _texts(draw())]
    disable()
    return found


def limits() -> Any:
    """Jobs that the server's limits forbid: each is refused at the click, by its limit, and nothing is sent."""
    from dataclasses import replace

    from blender_addon.protocol.limits import DEFAULT_LIMITS

    enable()
    rig = Rig()
    settings = bpy.context.scene.pgc
    settings.texture_size = "1024"
    found: dict[str, Any] = {"before": _texts(draw())}
    tight = {"triangles": 1, "vertices": 3, "job_texels": 1 << 18, "job_bytes": 99, "job_memory": 1 << 20}
    for name, most in tight.items():
        rig.fake.say(replace(rig.hello, limits=replace(DEFAULT_LIMITS, **{name: most})))
        rig.tick()
        try:
            bpy.ops.pgc.generate()
        except RuntimeError as error:  # What the operator reports as an error.
            told = str(error)
        problem = rig.state.problem
        found[name] = [told, problem.text, problem.operator, len(rig.fake.submitted), _texts(draw())]
    rig.fake.say(replace(rig.hello, limits=replace(DEFAULT_LIMITS, job_texels=1 << 18)))
    rig.tick()
    bpy.ops.pgc.smaller_texture()
    found["smaller"] = [settings.texture_size, len(rig.fake.submitted), rig.state.problem is None]
    rig.fake.say(replace(rig.hello, maps=("base_color", "corner_uvs"), limits=replace(DEFAULT_LIMITS, triangles=1)))
    rig.tick()
    other = _plane("Other")
    bpy.context.view_layer.objects.active = other
    try:
        bpy.ops.pgc.unwrap_on_server()
    except RuntimeError as error:
        told = str(error)
    found["unwrap"] = [told, rig.state.problem.operator, len(rig.fake.submitted)]
    disable()
    return found


def prompts() -> Any:
    """Words go into the prompt; prompts are kept in the preferences, newest first, each once."""
    enable()
    rig = Rig(prompt="red")
    settings = bpy.context.scene.pgc
    bpy.ops.pgc.insert_word(word="bricks")
    found: dict[str, Any] = {"words": settings.prompt}
    settings.negative = "moss"
    first = rig.click()
    bpy.ops.pgc.cancel(key=first.key)
    settings.prompt, settings.negative = "blue wood", ""
    second = rig.click()
    bpy.ops.pgc.cancel(key=second.key)
    settings.prompt, settings.negative = "red bricks", "moss"
    rig.click()
    from blender_addon.session import recent_prompts

    found["recent"] = recent_prompts.recent()
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.pgc.use_prompt(index=1)
    found["used"] = [bpy.context.scene.pgc.prompt, bpy.context.scene.pgc.negative]
    found["dirty"] = bpy.context.preferences.is_dirty
    disable()
    return found


def presets() -> Any:
    """A preset keeps the panel's choices and brings them back."""
    enable()
    Rig(prompt="mossy stone")
    settings = bpy.context.scene.pgc
    settings.preset, settings.texture_size, settings.cameras = "fine", "1024", "scene"
    bpy.ops.pgc.add_preset(name="Mine")
    settings.prompt, settings.preset, settings.texture_size, settings.cameras = "x", "draft", "256", "sphere"
    files = bpy.utils.preset_paths("pgc_texture")
    path = next(path for place in files for path in Path(place).glob("*.py"))
    bpy.ops.script.execute_preset(filepath=str(path), menu_idname="PGC_MT_presets")
    found = [settings.prompt, settings.preset, settings.texture_size, settings.cameras]
    disable()
    return found


def cameras() -> Any:
    """All around, the scene's cameras, the current view, and a rig that can be edited: what is sent."""
    enable()
    rig = Rig()
    settings, scene = bpy.context.scene.pgc, bpy.context.scene

    def sent() -> Any:
        view = rig.click()
        bpy.ops.pgc.cancel(key=view.key)
        spec = rig.fake.submitted[-1][1].cameras
        return [spec.kind, len(getattr(spec, "cameras", ()))]

    found: dict[str, Any] = {"sphere": sent()}
    for index in range(3):
        camera = bpy.data.objects.new(f"C{index}", bpy.data.cameras.new("C"))
        camera.data.type = "PANO" if index == 2 else "PERSP"
        scene.collection.objects.link(camera)
    settings.cameras = "scene"
    found["scene"] = sent()
    settings.cameras = "view"
    found["view"] = sent()
    for drawn in ("paper", "stages", "close-ups"):
        settings.cameras = drawn
        sent()
        found[drawn] = rig.fake.submitted[-1][1].cameras.sampler
    before = {obj.name for obj in bpy.data.objects}
    bpy.ops.pgc.add_rig(count=6)
    found["rig"] = [settings.cameras, *sent()]
    made = list(settings.rig.objects)
    bpy.context.view_layer.update()
    from bpy_extras.object_utils import world_to_camera_view

    corners = [rig.obj.matrix_world @ vertex.co for vertex in rig.obj.data.vertices]
    seen = [world_to_camera_view(scene, camera, corner) for camera in made for corner in corners]
    found["in view"] = all(0 <= point.x <= 1 and 0 <= point.y <= 1 and point.z > 0 for point in seen)
    made[0].location.x += 1
    bpy.data.objects.remove(made[1])
    found["edited"] = sent()
    bpy.ops.pgc.remove_rig()
    found["removed"] = [settings.cameras, before == {obj.name for obj in bpy.data.objects}, settings.rig is None]
    disable()
    return found


def sent() -> Any:
    """Every choice of the panel is in the job."""
    enable()
    rig = Rig(prompt="red bricks")
    settings = bpy.context.scene.pgc
    settings.negative, settings.seed, settings.lock_seed, settings.preset = "moss", 42, True, "fine"
    settings.texture_size, settings.model, settings.steps = "1024", "sd15", 77
    settings.maps, settings.separate_slots = {"base_color", "normal"}, True
    settings.loss, settings.timesteps, settings.regulation = "csd", "dreamtime", "pngd"
    settings.noise, settings.weighting = "surface", "constant"
    settings.use_clip, settings.clip, settings.use_guidance_scale, settings.guidance_scale = True, 0.25, True, 3.5
    settings.use_depth_scale, settings.depth_scale = True, 0.5
    settings.encoder_gradient, settings.use_normal, settings.normal_scale = "linear", True, 0.25
    settings.back_prompt, settings.front_prompt = "+ with moss", "a red door"
    rig.obj.data.uv_layers.new(name="Second")
    settings.uv_map = "Second"
    view = rig.click()
    spec = rig.fake.submitted[-1][1]
    disable()
    return {
        "prompt": [spec.prompt.text, spec.prompt.negative],
        "settings": [spec.settings.preset, spec.settings.seed, spec.settings.steps, spec.settings.texture_size],
        "slots": spec.settings.separate_slots,
        "model": spec.guidance.model,
        "loss": [spec.distillation.kind, spec.distillation.timesteps, spec.guidance.guidance_scale],
        "noise": [spec.distillation.noise, spec.distillation.weighting],
        "clipping": [spec.regulation.kind, spec.regulation.threshold],
        "encoder": spec.distillation.encoder_gradient,
        "shown": [[one.kind, one.scale] for one in spec.conditions.controls],
        "views": spec.prompt.per_view,
        "maps": list(spec.maps),
        "uv": view.request.uv_map,
        "seed kept": view.request.seed,
    }


def words() -> Any:
    """Everything that an artist can point at has a tooltip; labels are in Title Case."""
    enable()
    Rig()
    missing: list[str] = []
    labels = [bpy.types.PGC_PT_texture.bl_label, bpy.types.PGC_PT_material.bl_label]
    for name in dir(bpy.types):
        cls = getattr(bpy.types, name)
        if name.startswith("PGC_MT"):
            labels.append(cls.bl_label)
        if name.startswith("PGC_OT"):
            group, operator = cls.bl_idname.split(".")
            rna = getattr(getattr(bpy.ops, group), operator).get_rna_type()
            labels.append(rna.name)
            if not rna.description or rna.description == "(undocumented operator)":
                missing.append(name)
            _check_properties(rna.properties, name, missing, labels)
    for group in (bpy.context.scene.pgc, bpy.context.preferences.addons[ADDON].preferences):
        _check_properties(group.bl_rna.properties, group.bl_rna.identifier, missing, labels)
    disable()
    return {"missing": missing, "labels": labels}


# Of Blender's own base classes, or never shown.
_INNER = {"rna_type", "name", "bl_idname", "schema", "recent", "remove_name", "remove_active", "install"}


def _check_properties(properties: Any, owner: str, missing: list[str], labels: list[str]) -> None:
    for item in properties:
        if item.identifier in _INNER or item.is_hidden:
            continue
        labels.append(item.name)
        if not item.description or item.description.endswith("."):
            missing.append(f"{owner}.{item.identifier}")
        for value in item.enum_items if item.type == "ENUM" else ():
            labels.append(value.name)
            if not value.description:
                missing.append(f"{owner}.{item.identifier}.{value.identifier}")


def quick() -> Any:
    """Milliseconds of draw and poll in a scene of 1,000 objects with 20 jobs, medians of 200."""
    enable()
    rig = Rig()
    # Else a mesh of many objects would need a slot that all of them get.
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    for index in range(1000):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"O{index}", rig.obj.data))
    rig.run()
    rig.preview()
    times: dict[str, list[float]] = {"draw": [], "poll": [], "tick": []}
    panel, layout = bpy.types.PGC_PT_texture, Recorder()
    for _ in range(200):
        for name, call in (
            ("draw", lambda: panel.draw(SimpleNamespace(layout=layout), bpy.context)),
            ("poll", lambda: [bpy.ops.pgc.generate.poll(), bpy.ops.pgc.cancel.poll()]),
            ("tick", rig.pump.tick),
        ):
            start = time.thread_time()
            call()
            times[name].append((time.thread_time() - start) * 1e3)
    disable()
    return {name: float(np.median(values)) for name, values in times.items()}


def sources() -> Any:
    """Nothing but the main thread's modules imports bpy, and nothing starts a thread that uses it."""
    import blender_addon

    root = Path(blender_addon.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        if "threading" in names and "bpy" in names:
            found.append(path.name)
    return found


def in_german() -> Any:
    """Names and sentences with the interface in German."""
    enable()
    Rig()
    languages = list(bpy.app.translations.locales)
    if "de_DE" not in languages and "de" not in languages:
        disable()
        return {"languages": []}
    bpy.context.preferences.view.language = "de_DE" if "de_DE" in languages else "de"
    bpy.context.preferences.view.use_translate_interface = True
    operator = bpy.app.translations.pgettext_iface("Generate Texture", "Operator")
    texts = [bpy.app.translations.pgettext_iface(text) for kind, text in draw() if kind in {"label", "progress"}]
    disable()
    return {"languages": languages, "operator": operator, "texts": texts}
