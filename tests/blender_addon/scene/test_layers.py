# SPDX-License-Identifier: Apache-2.0
"""Versions over each other: the fast composition against a slow one that looks at each face and slot by itself."""

import numpy as np
import pytest

from blender_addon.scene.versions.layers import Layer, compose_faces, cover_slot, without_hidden


def _random_layers(generator: np.random.Generator, faces: int) -> list[Layer]:
    layers = []
    for index in range(generator.integers(0, 7)):
        target = generator.choice(["object", "slot", "selected_faces"], p=[0.2, 0.3, 0.5])
        chosen = generator.random(faces) < 0.5 if target == "selected_faces" else None
        layers.append(Layer(str(index), str(target), int(generator.integers(0, 3)), chosen))
    return layers


def _seen(layers: list[Layer], face: int, slot: int) -> str:
    """Key of the layer that a face of a slot shows, step by step; faces lie over slots."""
    shown, own = "", ""
    for layer in layers:
        if layer.target == "object":
            shown, own = layer.key, ""
        elif layer.target == "slot" and layer.slot == slot:
            shown = layer.key
        elif layer.target == "selected_faces" and layer.faces[face]:
            own = layer.key
    return own or shown


@pytest.mark.parametrize("seed", range(40))
def test_faces_and_slots_show_the_uppermost_layer(seed):
    generator = np.random.default_rng(seed)
    count = 12
    layers = _random_layers(generator, count)
    base = generator.integers(0, 3, count).astype(np.int32)
    kept = without_hidden(layers)
    on_faces = [(layer, 3 + at) for at, layer in enumerate(kept) if layer.target == "selected_faces"]
    found = compose_faces(base, base, on_faces, np.ones(count, np.bool_))
    keys = {slot: layer.key for layer, slot in on_faces}
    for slot in range(3):
        cover = cover_slot(kept, slot)
        keys[slot] = cover.key if cover is not None else ""
    assert [keys[int(slot)] for slot in found] == [_seen(layers, face, int(base[face])) for face in range(count)]
    for layer in on_faces:
        # None is kept that could be left out: it would hold a slot without faces.
        assert layer[1] in found


def test_a_layer_whose_faces_are_unknown_keeps_what_it_has():
    now, base = np.array([0, 3, 3, 1], np.int32), np.array([0, 0, 1, 1], np.int32)
    found = compose_faces(now, base, [(Layer("a", "selected_faces"), 3)], now == 3)
    assert found.tolist() == [0, 3, 3, 1]
    assert compose_faces(now, base, [], now == 3).tolist() == [0, 0, 1, 1]


def test_faces_that_are_not_free_stay():
    now = np.array([0, 0, 1], np.int32)
    layer = Layer("a", "selected_faces", faces=np.array([True, True, False]))
    assert compose_faces(now, now, [(layer, 2)], np.array([True, False, False])).tolist() == [2, 0, 1]
