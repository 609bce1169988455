# SPDX-License-Identifier: Apache-2.0
"""Several textures of one object at once: variations, and a queue of different prompts."""

from typing import Any

import bpy
import numpy as np
from probe_session import Rig, disable, enable, materials


def _start(rig: Rig, view: Any, job: str) -> None:
    """The server takes a job and works on it."""
    from blender_addon.client.events import JobAccepted, JobProgress, JobStateChanged
    from blender_addon.protocol.records import JobState

    rig.fake.say(JobAccepted(job, view.key, JobState.QUEUED, 0, False))
    rig.fake.say(JobStateChanged(job, view.key, JobState.RUNNING), JobProgress(job, 1, 10, 7.0))
    rig.tick()


def variations() -> Any:
    """Four of one click: one mesh, four seeds; the first is shown, the others wait."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    settings = bpy.context.scene.pgc
    settings.seed, settings.variations = (1 << 31) - 2, 4
    assert bpy.ops.pgc.generate() == {"FINISHED"}
    sent = rig.fake.submitted
    found: dict[str, Any] = {
        "seeds": [spec.settings.seed for _, spec, _ in sent],
        "keys": len({key for key, _, _ in sent}),
        "one mesh": all(arrays is sent[0][2] for _, _, arrays in sent),
        "same but the seed": len({repr(spec.meshes) + spec.prompt.text for _, spec, _ in sent}),
        "next": settings.seed,
    }
    views = list(rig.state.jobs.values())
    _start(rig, views[1], "job-1")
    rig.preview(job="job-1")
    found["preview of one that waits"] = materials(rig.obj)
    rig.finish(views[1])
    found["waits"] = [len(rig.obj.pgc.versions), materials(rig.obj), rig.obj.pgc.active_version, views[1].note]
    _start(rig, views[0], "job-0")
    rig.preview(job="job-0")
    found["preview of the first"] = materials(rig.obj)
    rig.finish(views[0])
    found["shown"] = [[version.seed for version in rig.obj.pgc.versions], rig.obj.pgc.active_version]
    rig.obj.pgc.active_version = 0
    found["clicked"] = rig.obj.material_slots[0].material == rig.obj.pgc.versions[0].material
    found["noted"] = sorted(entry.waits for entry in rig.obj.pgc.job.pending)
    bpy.ops.pgc.cancel_all()
    found["cancelled"] = [view.phase.value for view in views]
    bpy.ops.pgc.restore()
    found["original"] = materials(rig.obj)
    disable()
    return found


def queue() -> Any:
    """Two prompts for one object; the second one's preview comes before the first one's result is on the object."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    first = rig.click()
    bpy.context.scene.pgc.prompt = "blue tiles"
    second = rig.click()
    _start(rig, first, "job-1")
    rig.preview(job="job-1")
    found: dict[str, Any] = {"foremost": rig.state.live_for(rig.obj.session_uid) is first}
    found["new UVs"] = bpy.ops.pgc.unwrap_on_server.poll()
    _start(rig, second, "job-2")
    rig.preview((0, 0, 200), job="job-2")
    found["one preview"] = rig.obj.pgc.job.preview.key == first.key
    rig.finish(first)
    found["first"] = [first.phase.value, len(rig.obj.pgc.versions), rig.obj.pgc.job.preview.key == second.key]
    bpy.ops.pgc.cancel(key=second.key)
    rig.tick()
    found["under it"] = materials(rig.obj)
    third = rig.click()
    _start(rig, third, "job-3")
    rig.preview(job="job-3")
    rig.finish(third)
    found["third"] = [materials(rig.obj), len(rig.obj.pgc.versions)]
    bpy.ops.pgc.restore()
    found["original"] = materials(rig.obj)
    disable()
    return found


def shared_and_edited() -> Any:
    """A result comes while another object with the same mesh is in Edit Mode; then one waits, and all is cancelled."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    twin = bpy.data.objects.new("Twin", rig.obj.data)
    bpy.context.scene.collection.objects.link(twin)
    view = rig.run()
    bpy.context.view_layer.objects.active = twin
    bpy.ops.object.mode_set(mode="EDIT")
    rig.preview()
    rig.finish(view)
    found: dict[str, Any] = {"edited": [view.phase.value, view.problem.text if view.problem else ""]}
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["after"] = [view.phase.value, len(rig.obj.pgc.versions), rig.state.problem is None]
    bpy.context.view_layer.objects.active = rig.obj
    held, more = rig.click(), rig.click()
    _start(rig, held, "job-2")
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    rig.finish(held)
    found["held"] = held.phase.value
    bpy.ops.pgc.cancel_all()
    found["cancelled"] = [held.phase.value, more.phase.value, bpy.ops.pgc.cancel_all.poll()]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["kept"] = [held.phase.value, len(rig.obj.pgc.versions)]
    disable()
    return found


def faces_meanwhile() -> Any:
    """A result for the whole object comes in Edit Mode, while another job's preview has moved faces."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    whole = rig.click()
    settings = bpy.context.scene.pgc
    settings.target = "selected_faces"
    rig.obj.data.polygons.foreach_set("select", [True] * len(rig.obj.data.polygons))
    part = rig.click()
    _start(rig, part, "job-2")
    rig.preview(job="job-2")
    found: dict[str, Any] = {"on faces": bool(rig.obj.pgc.job.preview.faces)}
    bpy.ops.object.mode_set(mode="EDIT")
    _start(rig, whole, "job-1")
    rig.finish(whole)
    found["held"] = [whole.phase.value, whole.note]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["then"] = [whole.phase.value, len(rig.obj.pgc.versions)]
    bpy.ops.pgc.cancel(key=part.key)
    rig.tick()
    found["indices"] = sorted({polygon.material_index for polygon in rig.obj.data.polygons})
    found["slots"] = len(rig.obj.material_slots)
    disable()
    return found


def lists() -> Any:
    """Stars, notes and the list's filter; the little picture shows the object."""
    from blender_addon.ui.versions import PGC_UL_versions

    enable()
    rig = Rig()
    for seed, color in ((5, (200, 30, 30)), (6, (30, 200, 30)), (7, (30, 30, 200))):
        bpy.context.scene.pgc.seed = seed
        view = rig.run(f"job-{seed}")
        rig.preview(color, job=f"job-{seed}")
        rig.finish(view)
    versions = rig.obj.pgc.versions
    versions[0].starred, versions[1].note = True, "for the Roof"

    class List:
        bitflag_filter_item = 1
        _fits = PGC_UL_versions._fits

        def __init__(self, words: str, starred: bool) -> None:
            self.filter_name, self.only_starred = words, starred

    def kept(words: str, starred: bool = False) -> list[int]:
        flags, _ = PGC_UL_versions.filter_items(List(words, starred), None, rig.obj.pgc, "versions")
        return [index for index, flag in enumerate(flags) if flag]

    found: dict[str, Any] = {
        "all": kept(""),
        "starred": kept("", starred=True),
        "note": kept("roof"),
        "seed": kept("bricks 7"),
        "none": kept("oak"),
    }
    pixels = list(versions[2].thumbnail.pixels)
    size = versions[2].thumbnail.size[0]
    middle = (size // 2 * size + size // 2) * 4
    found["picture"] = [size, [round(value * 255) for value in pixels[:3]]]
    found["middle"] = max(range(3), key=lambda channel: pixels[middle + channel])
    versions[-1].prompt = "red , bricks ... —"
    found["marked"] = sorted(bpy.ops.pgc.version_mark_asset())
    data, preview = rig.obj.asset_data, rig.obj.preview
    found["asset"] = [data.description, sorted(tag.name for tag in data.tags), list(preview.image_size)]
    found["asset picture"] = np.allclose(preview.image_pixels_float[:], pixels, atol=1 / 255)
    bpy.ops.pgc.version_mark_asset()
    found["twice"] = len(data.tags)
    found["purge"] = bpy.ops.pgc.versions_purge()
    found["left"] = [version.seed for version in versions]
    disable()
    return {**found, "purge": sorted(found["purge"])}
