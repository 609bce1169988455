# SPDX-License-Identifier: Apache-2.0
"""Accessors decoded slowly, number by number with `struct`, as the specification's text reads."""

import struct

FORMATS = {5120: "b", 5121: "B", 5122: "h", 5123: "H", 5125: "I", 5126: "f"}
COUNTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def decode(document, data, index):
    """Rows of accessor `index` as lists of floats; `data` is the one buffer."""
    accessor = document["accessors"][index]
    width = COUNTS[accessor["type"]]
    letter = FORMATS[accessor["componentType"]]
    rows = [[0] * width for _ in range(accessor["count"])]
    if "bufferView" in accessor:
        view = document["bufferViews"][accessor["bufferView"]]
        stride = view.get("byteStride") or width * struct.calcsize(letter)
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        for number in range(accessor["count"]):
            rows[number] = list(struct.unpack_from(f"<{width}{letter}", data, start + number * stride))
    if "sparse" in accessor:
        replace(document, data, accessor["sparse"], (width, letter), rows)
    if not accessor.get("normalized") or letter == "f":
        return [[float(value) for value in row] for row in rows]
    return [[normalized(value, letter) for value in row] for row in rows]


def replace(document, data, sparse, shape, rows):
    width, letter = shape
    views = document["bufferViews"]
    index, value = sparse["indices"], sparse["values"]
    where = views[index["bufferView"]].get("byteOffset", 0) + index.get("byteOffset", 0)
    what = views[value["bufferView"]].get("byteOffset", 0) + value.get("byteOffset", 0)
    kind = FORMATS[index["componentType"]]
    for number in range(sparse["count"]):
        (row,) = struct.unpack_from(f"<{kind}", data, where + number * struct.calcsize(kind))
        offset = what + number * width * struct.calcsize(letter)
        rows[row] = list(struct.unpack_from(f"<{width}{letter}", data, offset))


def normalized(value, letter):
    """Table of glTF 2.0 §3.11."""
    match letter:
        case "b":
            return max(value / 127.0, -1.0)
        case "B":
            return value / 255.0
        case "h":
            return max(value / 32767.0, -1.0)
        case "H":
            return value / 65535.0
        case _:
            return value / 4294967295.0
