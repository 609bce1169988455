# SPDX-License-Identifier: Apache-2.0
"""Objects as artists have them, each made by a function of this module; none needs a file."""

from collections.abc import Callable

import bpy
from probes import _cube, _plane

Object = bpy.types.Object
Build = Callable[[bpy.types.NodeTree, bpy.types.NodeSocket, bpy.types.NodeSocket], None]


def subdivided() -> Object:
    """A cube of 24 faces by its modifier, moved after the last evaluation."""
    obj = _cube()
    obj.modifiers.new("Subdivision", "SUBSURF").levels = 1
    _own_collection(obj)
    bpy.context.view_layer.update()
    obj.location = (5, 0, 0)
    return obj


def _own_collection(obj: Object) -> bpy.types.Collection:
    collection = bpy.data.collections.new("Own")
    bpy.context.scene.collection.children.link(collection)
    for other in obj.users_collection:
        other.objects.unlink(obj)
    collection.objects.link(obj)
    return collection


def _layer() -> bpy.types.LayerCollection:
    return bpy.context.view_layer.layer_collection.children["Own"]


def hidden(how: str) -> Object:
    """A subdivided cube that nobody sees now."""
    obj = subdivided()
    match how:
        case "eye":
            obj.hide_set(True)
        case "screen":
            obj.hide_viewport = True
        case "collection eye":
            _layer().hide_viewport = True
        case "collection screen":
            bpy.data.collections["Own"].hide_viewport = True
        case "excluded":
            _layer().exclude = True
        case "other scene":
            bpy.context.scene.collection.children.unlink(bpy.data.collections["Own"])
            bpy.data.scenes.new("Other").collection.children.link(bpy.data.collections["Own"])
    return obj


def hidden_and_animated() -> Object:
    """Disabled in viewports, at (7, 0, 0) in the current frame, 7."""
    obj = subdivided()
    for frame in (1, 11):
        obj.location = (frame, 0, 0)
        obj.keyframe_insert("location", frame=frame)
    curves = obj.animation_data.action
    layers = getattr(curves, "fcurves", None) or curves.layers[0].strips[0].channelbag(curves.slots[0]).fcurves
    for curve in layers:
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
    bpy.context.scene.frame_set(7)
    obj.hide_viewport = True
    return obj


def multires(mode: str = "OBJECT") -> Object:
    """Two levels, of which the viewport shows one."""
    obj = _cube()
    bpy.context.view_layer.objects.active = obj
    modifier = obj.modifiers.new("Multires", "MULTIRES")
    for _ in range(2):
        bpy.ops.object.multires_subdivide(modifier=modifier.name, mode="CATMULL_CLARK")
    modifier.levels, modifier.sculpt_levels, modifier.render_levels = 1, 2, 2
    bpy.ops.object.mode_set(mode=mode)
    return obj


def dyntopo() -> Object:
    """In Sculpt Mode with a mesh that exists only there."""
    obj = _cube()
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="SCULPT")
    bpy.ops.sculpt.dynamic_topology_toggle()
    return obj


def in_mode(mode: str) -> Object:
    """A cube in a mode."""
    obj = _cube()
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode=mode)
    return obj


def render_level() -> Object:
    """Subdivision that renders more than the viewport shows, above one that the viewport does not show."""
    obj = _cube()
    first, second = obj.modifiers.new("A", "SUBSURF"), obj.modifiers.new("B", "SUBSURF")
    first.levels, first.render_levels = 1, 3
    second.levels, second.show_viewport = 2, False
    return obj


def posed() -> Object:
    """Moved by a bone to z = 6 to 8 (the bone's own Y is the world's Z)."""
    obj = _cube()
    bpy.ops.object.armature_add()
    armature = bpy.context.object
    obj.vertex_groups.new(name="Bone").add(range(8), 1.0, "REPLACE")
    obj.modifiers.new("Armature", "ARMATURE").object = armature
    armature.pose.bones[0].location = (0, 7, 0)
    return obj


def keyed() -> Object:
    """A shape key at 1 lifts it to z = 2 to 4."""
    obj = _cube()
    obj.shape_key_add(name="Basis")
    key = obj.shape_key_add(name="Up")
    for point in key.data:
        point.co.z += 3.0
    key.value = 1.0
    return obj


def nodes(obj: Object, build: Build) -> Object:
    """Geometry Nodes on it: `build` gets the tree, the way in and the way out."""
    tree = bpy.data.node_groups.new("Tree", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    build(tree, start.outputs[0], end.inputs[0])
    obj.modifiers.new("Nodes", "NODES").node_group = tree
    return obj


def scatter(*, base: bool) -> Object:
    """A cube with a leaf on each of its 8 vertices; `base`: it shows itself too."""
    leaf = _cube("Leaf")
    leaf.scale = (0.2, 0.2, 0.2)
    leaf.location = (9, 9, 9)

    def build(tree: bpy.types.NodeTree, start: bpy.types.NodeSocket, end: bpy.types.NodeSocket) -> None:
        points, info = tree.nodes.new("GeometryNodeInstanceOnPoints"), tree.nodes.new("GeometryNodeObjectInfo")
        info.inputs[0].default_value = leaf
        tree.links.new(start, points.inputs["Points"])
        tree.links.new(info.outputs["Geometry"], points.inputs["Instance"])
        out = points.outputs[0]
        if base:
            join = tree.nodes.new("GeometryNodeJoinGeometry")
            tree.links.new(out, join.inputs[0])
            tree.links.new(start, join.inputs[0])
            out = join.outputs[0]
        tree.links.new(out, end)

    return nodes(_cube("Ground"), build)


def hidden_scatter() -> Object:
    """Instances of an object that is hidden now."""
    obj = scatter(base=True)
    obj.hide_set(True)
    return obj


def named_uvs(*, beside: bool) -> Object:
    """UVs that Geometry Nodes store as "Made"; `beside`: beside the artist's."""

    def build(tree: bpy.types.NodeTree, start: bpy.types.NodeSocket, end: bpy.types.NodeSocket) -> None:
        store, unwrap = tree.nodes.new("GeometryNodeStoreNamedAttribute"), tree.nodes.new("GeometryNodeUVUnwrap")
        store.data_type, store.domain = "FLOAT2", "CORNER"
        store.inputs["Name"].default_value = "Made"
        tree.links.new(start, store.inputs[0])
        tree.links.new(unwrap.outputs[0], store.inputs["Value"])
        tree.links.new(store.outputs[0], end)

    return nodes(_plane(uv=beside), build)


def primitive() -> Object:
    """Geometry Nodes put another cube in its place, which has no UV map."""

    def build(tree: bpy.types.NodeTree, start: bpy.types.NodeSocket, end: bpy.types.NodeSocket) -> None:
        tree.links.new(tree.nodes.new("GeometryNodeMeshCube").outputs[0], end)

    return nodes(_cube(), build)


def set_material(*, own: bool) -> Object:
    """Geometry Nodes give all faces a material: one that a slot has too, or another."""
    obj = _cube()
    obj.data.materials.append(bpy.data.materials.new("Mine"))
    material = obj.data.materials[0] if own else bpy.data.materials.new("Nodes'")

    def build(tree: bpy.types.NodeTree, start: bpy.types.NodeSocket, end: bpy.types.NodeSocket) -> None:
        setter = tree.nodes.new("GeometryNodeSetMaterial")
        setter.inputs["Material"].default_value = material
        tree.links.new(start, setter.inputs[0])
        tree.links.new(setter.outputs[0], end)

    return nodes(obj, build)


def cut() -> Object:
    """A Boolean that gives the faces of the cut the cutter's material."""
    obj, cutter = _cube(), _cube("Cutter")
    cutter.location, cutter.display_type = (1, 1, 1), "WIRE"
    for one, name in ((obj, "Mine"), (cutter, "Cutter's")):
        one.data.materials.append(bpy.data.materials.new(name))
    modifier = obj.modifiers.new("Boolean", "BOOLEAN")
    modifier.object, modifier.material_mode = cutter, "TRANSFER"
    return obj


def dupli(*, shown: bool) -> Object:
    """A plane that places its child on its face."""
    obj, child = _plane(), _cube("Child")
    child.parent, obj.instance_type, obj.show_instancer_for_viewport = obj, "FACES", shown
    return obj


def mesh(
    vertices: list[tuple[float, float, float]], edges: list[tuple[int, int]], faces: list[tuple[int, ...]]
) -> Object:
    """An object of these, with a UV map where there are faces."""
    data = bpy.data.meshes.new("Made")
    data.from_pydata(vertices, edges, faces)
    if faces:
        data.uv_layers.new(name="UVMap")
    obj = bpy.data.objects.new("Made", data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def scaled(*scale: float) -> Object:
    """A cube of this scale."""
    obj = _cube()
    obj.scale = scale
    return obj


def moved_vertex(x: float) -> Object:
    """A cube with one vertex at this x."""
    obj = _cube()
    obj.data.vertices[0].co.x = x
    return obj


def strange_uvs(value: float) -> Object:
    """A cube with one strange U."""
    obj = _cube()
    obj.data.uv_layers[0].uv[3].vector = (value, 0.0)
    return obj


def sheared() -> Object:
    """A turned child of a parent that is scaled unevenly."""
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale = (1.0, 3.0, -0.5)
    obj = _cube()
    obj.parent, obj.rotation_euler = parent, (0.5, 0.3, 0.7)
    return obj


def strange_name() -> Object:
    """As many bytes as Blender takes."""
    obj = _cube()
    obj.name = "茶壺" * 60
    return obj


def build_up() -> Object:
    """Shows no face yet at this frame."""
    obj = _cube()
    obj.modifiers.new("Build", "BUILD")
    return obj


CASES: dict[str, Callable[[], Object]] = {
    **{
        f"hidden: {how}": (lambda how=how: hidden(how))
        for how in ("eye", "screen", "collection eye", "collection screen", "excluded", "other scene")
    },
    "hidden and animated": hidden_and_animated,
    "Multires": multires,
    "Multires in Sculpt Mode": lambda: multires("SCULPT"),
    "Dyntopo": dyntopo,
    **{
        mode: (lambda mode=mode: in_mode(mode))
        for mode in ("EDIT", "SCULPT", "VERTEX_PAINT", "WEIGHT_PAINT", "TEXTURE_PAINT")
    },
    "viewport level": render_level,
    "armature": posed,
    "shape key": keyed,
    "nodes: instances and a base": lambda: scatter(base=True),
    "nodes: instances": lambda: scatter(base=False),
    "nodes: hidden instances": hidden_scatter,
    "nodes: UVs": lambda: named_uvs(beside=False),
    "nodes: UVs beside": lambda: named_uvs(beside=True),
    "nodes: primitive": primitive,
    "nodes: material": lambda: set_material(own=False),
    "nodes: own material": lambda: set_material(own=True),
    "Boolean's material": cut,
    "instancer, hidden": lambda: dupli(shown=False),
    "instancer": lambda: dupli(shown=True),
    "no faces": lambda: mesh([(0, 0, 0), (1, 0, 0)], [(0, 1)], []),
    "loose vertices": lambda: mesh([(0, 0, 0), (1, 0, 0), (1, 1, 0), (90, 0, 0)], [], [(0, 1, 2)]),
    "loose NaN": lambda: mesh([(0, 0, 0), (1, 0, 0), (1, 1, 0), (float("nan"), 0, 0)], [], [(0, 1, 2)]),
    "NaN": lambda: moved_vertex(float("nan")),
    "infinite": lambda: moved_vertex(float("inf")),
    "NaN in UVs": lambda: strange_uvs(float("nan")),
    "huge UVs": lambda: strange_uvs(1e9),
    "scale 0": lambda: scaled(0, 0, 0),
    "a line": lambda: scaled(1, 0, 0),
    "flat": lambda: scaled(1, 1, 0),
    "negative": lambda: scaled(-1, 1, 1),
    "huge": lambda: scaled(1e12, 1e12, 1e12),
    "tiny": lambda: scaled(1e-12, 1e-12, 1e-12),
    "sheared": sheared,
    "long name": strange_name,
    "Build": build_up,
}
