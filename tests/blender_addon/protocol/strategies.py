# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for any message, from its annotations and the ranges of its fields."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from hypothesis import strategies as st

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.messages import BlobPut, Get
from blender_addon.protocol.specs.job import (
    LIT_MAPS,
    LightingSpec,
    LoraSpec,
    MeshSpec,
    ModelSpec,
    TextureJobSpec,
    TileImage,
)
from blender_addon.protocol.specs.method import ConditionsSpec, DistillationSpec, ReferenceSpec, RegulationSpec
from blender_addon.protocol.specs.picture import PictureSpec
from blender_addon.protocol.specs.shape import ShapeSpec
from tests.blender_addon.protocol import samples

_LARGE = (1 << 63) - 1
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def _hex(digits: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=digits // 2, max_size=digits // 2).map(bytes.hex)


_SHA = _hex(64)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_MATRIX = st.lists(st.floats(-1e12, 1e12), min_size=16, max_size=16).map(tuple)
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "sha256": _SHA,
    "config_json_sha256": _SHA,
    "hashes": st.lists(_SHA, max_size=3).map(tuple),
    "key": _hex(32),
    "bulk_port": st.integers(1, 65535),
    "seed": st.integers(0, _LARGE),
    "steps": st.none() | st.integers(1, 1_000_000),
    "views": st.none() | st.integers(1, 256),
    "resolution": st.none() | st.integers(16, 4096),
    "texture_size": st.none() | st.sampled_from([16, 256, 8192]),
    "model": st.text("abcxyz019._-", min_size=1, max_size=64),
    "guidance_scale": st.none() | st.floats(0, 1000),
    "every_s": st.floats(0.05, 3600),
    "soft_edge": st.integers(0, 256),
    "strength": st.none() | st.floats(0.01, 1.0),
    "size": st.integers(16, 1024),
    "aspect": st.floats(1e-3, 1e3),
    "world_to_camera": _MATRIX,
    "projection": _MATRIX,
    "text": _TEXT.filter(str.strip),
    "per_view": st.dictionaries(st.sampled_from(["front", "side", "back", "overhead", "underside"]), _TEXT),
    "maps": st.permutations(["base_color", "roughness", "normal"]).map(tuple),
}
_SPEC_ONLY = {"steps", "size", "maps", "model", "text", "views"}
"""Names that mean something else in messages that are no job."""


def _refs(*sides: int) -> st.SearchStrategy[ArrayRef]:
    return st.builds(ArrayRef, _SHA, st.just(DType.U8), st.just(sides))


_GRAY = (TileImage(tile=1001, array=ArrayRef("d" * 64, DType.U8, (64, 64))),)
_TILES = st.builds(TileImage, tile=st.integers(1001, 1999), array=_refs(16, 32) | _refs(8192, 16, 3))


def _content(lora: LoraSpec) -> str:
    return lora.file.sha256


_REFERENCES = st.builds(ReferenceSpec, image=_refs(1, 8192, 3) | _refs(9, 9, 4), scale=st.floats(0.01, 2.0))
_LORAS = st.builds(LoraSpec, file=_refs(999), scale=st.floats(-5.0, 5.0), name=st.text("abc é", max_size=128))
_PICTURES = st.builds(
    PictureSpec,
    file=_refs(999),
    width=st.integers(1, 8192),
    height=st.integers(1, 8192),
    elevation=st.floats(-80.0, 80.0),
    name=st.text("abc é", max_size=128),
)
_SCHEDULES = st.sampled_from(["preset", "uniform", "linear", "square_root", "dreamtime"])
_NOISES = st.sampled_from(["preset", "independent", "surface"])
_WEIGHTINGS = st.sampled_from(["preset", "sigma_squared", "constant", "noise_to_signal"])
_THRESHOLDS, _SHARES = st.none() | st.floats(1e-9, 1e9), st.none() | st.floats(0.0, 1.0)
_NORMS = st.sampled_from([None, "l2", "linf"])
_METHOD: dict[type[Any], list[dict[str, st.SearchStrategy[Any]]]] = {
    DistillationSpec: [
        {"kind": st.sampled_from(["csd", "ssd"]), "timesteps": _SCHEDULES, "noise": _NOISES, "weighting": _WEIGHTINGS},
        {"kind": st.sampled_from(["preset", "sds", "bgt"]), "timesteps": _SCHEDULES, "guidance_rescale": _SHARES},
        {"kind": st.just("hifa"), "guidance_rescale": _SHARES, "latent_weight": st.none() | st.floats(0.0, 1e6)},
    ],
    RegulationSpec: [
        {"kind": st.sampled_from(["preset", "pgc", "pngd"]), "threshold": _THRESHOLDS, "norm": _NORMS},
        {"kind": st.sampled_from(["pgc-v", "global", "sigmoid", "soft"]), "threshold": _THRESHOLDS},
        {"kind": st.just("adaptive"), "norm": _NORMS, "quantile": st.none() | st.floats(1e-6, 1.0)},
        {"kind": st.just("none")},
    ],
    ShapeSpec: [
        {"loss": st.sampled_from(["normal", "both"]), "latents_until": st.floats(0.0, 1.0), "hold": st.booleans()},
        {"subdivide": st.integers(0, 6), "learning_rate": st.none() | st.floats(1e-6, 1.0)},
        {"geometry": st.just("dmtet"), "cubes": st.none() | st.integers(4, 96)},
        {"geometry": st.just("volume"), "picture": st.none() | _PICTURES},
        {"geometry": st.sampled_from(["offsets", "dmtet"]), "picture": _PICTURES},
    ],
    ModelSpec: [
        {"model": st.text("abcxyz019._-", min_size=1, max_size=64), "revision": st.none() | st.text("é0", max_size=9)},
        {"model": st.just("oracle"), "guidance_scale": st.none() | st.floats(0.0, 1000.0)},
        {"model": st.just("oracle"), "oracle_texture": st.none() | st.just(_GRAY)},
        {"model": st.just("sd15"), "loras": st.lists(_LORAS, max_size=8, unique_by=_content).map(tuple)},
    ],
    ConditionsSpec: [
        {"depth": st.just(False)},
        {"depth_scale": st.none() | st.floats(0.0, 2.0), "reference": st.none() | _REFERENCES},
    ],
}
"""Which fields go with which kind."""


def instances(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Any valid instance of a message or of a part of one."""
    if cls is MeshSpec:
        return st.builds(lambda name: samples.mesh(name=name), _TEXT)
    if cls is TileImage:
        return _TILES
    if cls is ArrayRef:
        return st.builds(
            ArrayRef, _SHA, st.sampled_from(DType), st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple)
        )
    if cls is BlobPut:
        return st.integers(0, 1 << 32).flatmap(
            lambda size: st.builds(BlobPut, _SHA, st.just(size), st.integers(0, size))
        )
    if cls is Get:
        return st.builds(Get, _SHA, st.integers(0, _LARGE), st.integers(1, 768 << 10))
    if cls is LightingSpec:
        free = st.builds(
            LightingSpec,
            kind=st.just("environments"),
            rotate=st.none() | st.booleans(),
            exposure=st.none() | st.floats(0.0, 4.0),
            environments=st.lists(st.sampled_from(("sky", "studio")), max_size=2, unique=True).map(tuple),
        )
        return st.builds(LightingSpec, kind=st.sampled_from(("preset", "unlit"))) | free
    if cls in _METHOD:
        return st.one_of([st.builds(cls, **fields) for fields in _METHOD[cls]])
    hints = typing.get_type_hints(cls)
    fields = {field.name: _field(cls, field.name, hints[field.name]) for field in dataclasses.fields(cls)}
    return st.builds(_job if cls is TextureJobSpec else cls, **fields)


def _job(**given: Any) -> TextureJobSpec:
    """A job whose strength goes with an initial texture, and whose reference with base colour alone."""
    if not given["initial_texture"]:
        given["settings"] = dataclasses.replace(given["settings"], strength=None)
        given["initial_maps"] = {}
    if not given["lock_mask"] or given["settings"].strength is not None:
        given["settings"] = dataclasses.replace(given["settings"], mask_start="present")
    if not given["lock_mask"]:
        given["settings"] = dataclasses.replace(given["settings"], soft_edge=0)
    given["initial_maps"] = {name: images for name, images in given["initial_maps"].items() if name in given["maps"]}
    # The meshes have faces without texture.
    given["settings"] = dataclasses.replace(given["settings"], texture_field="texels", warm_start=None)
    if given["conditions"].reference is not None:
        given["maps"] = ("base_color",)
    if not LIT_MAPS.intersection(given["maps"]) or given["guidance"].model == "pocket":
        given["settings"] = dataclasses.replace(given["settings"], explain_light=None)
    # It goes with a mesh and settings of its own kind.
    given["shape"] = None
    return TextureJobSpec(**given)


def _field(cls: type[Any], name: str, hint: Any) -> st.SearchStrategy[Any]:
    is_spec = getattr(cls, "STRICT", False)
    if cls is TextureJobSpec and name in ("lock_mask", "initial_texture"):
        return st.lists(_TILES, max_size=2, unique_by=lambda image: image.tile).map(tuple)
    if cls is TextureJobSpec and name == "initial_maps":
        return st.dictionaries(st.sampled_from(("roughness", "metallic", "occlusion")), st.just(_GRAY), max_size=2)
    if name == "cameras" and typing.get_origin(hint) is tuple:
        return st.lists(instances(typing.get_args(hint)[0]), min_size=1, max_size=2).map(tuple)
    if name == "meshes" and is_spec:
        return st.lists(instances(MeshSpec), min_size=1, max_size=2).map(tuple)
    if name == "session":
        return _hex(32) if hint is str else st.none() | _hex(32)
    if name in _BY_NAME and (is_spec or name not in _SPEC_ONLY):
        return _BY_NAME[name]
    return _values(hint)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([_values(option) for option in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_values, arguments))
    if origin in (dict, Mapping):
        return st.dictionaries(_TEXT, _values(arguments[1]), max_size=2)
    if dataclasses.is_dataclass(hint):
        return instances(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    plain = {int: st.integers(0, _LARGE), float: _NUMBERS, str: _TEXT, bool: st.booleans(), type(None): st.none()}
    return plain[hint]
