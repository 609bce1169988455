# SPDX-License-Identifier: Apache-2.0
"""Damaged mesh files, with a sense for what the formats are made of, and the judge of what the readers make of them.

Case k of a seed is always the same file, so that a case that was found is found again by its number.
"""

import json
import random
import re
import struct
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pgc.errors import MeshError
from pgc.mesh.checks import check_triangle_count
from pgc.mesh.formats.gltf import read_gltf
from pgc.mesh.formats.obj import read_obj
from pgc.mesh.formats.ply import read_ply
from pgc.mesh.formats.stl import read_stl
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.charts import chart_ids
from pgc.mesh.uvs.layout import arrange_uvs
from tests.pgc.fuzzing.mesh_seeds import SUFFIXES, seeds

READERS = {".obj": read_obj, ".ply": read_ply, ".stl": read_stl, ".glb": read_gltf, ".gltf": read_gltf}

_TOKENS = (
    b"", b"0", b"-1", b"1", b"2", b"7", b"-7", b"999999999", b"-999999999", b"4294967295", b"4294967296", b"1e30",
    b"1e400", b"-1e39", b"1e-400", b"nan", b"-inf", b"infinity", b"0x10", b"1,5", b"1.", b".", b"-", b"+", b"/", b"1/",
    b"//", b"1//", b"/1/1", b"1/2/3/4", b"1/0/0", b"1/-1/-1", b"1" * 400, b"9" * 5000, b"x", b"\0", b"\xff",
    b"\xc3\xa9", b"\\", b"#", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\t", b"\x0b", b"v", b"vt", b"vn", b"f",
    b"l", b"usemtl",
    b"solid", b"endsolid", b"facet", b"endfacet", b"vertex", b"element", b"property", b"list", b"uchar", b"char",
    b"double", b"float", b"int", b"end_header", b"format", b"ascii", b"binary_big_endian", b"comment", b"tristrips",
    b"vertex_indices", b"texcoord", b"face", b"x",
)  # fmt: skip
_INTEGERS = (0, 1, 2, 3, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000,
             0x7FC00000, 0xFF800000, 0x7F7FFFFF, 0x00000001)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 5, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 10**30, 0.5, -0.0, 1e308, -1e308,
    1e-320, float("nan"), float("inf"), "", "a", "../a.bin", "data:,", "data:application/octet-stream;base64,AAAA",
    "data:;base64,%%%", "SCALAR", "VEC2", "VEC3", "VEC4", "MAT4", 5120, 5121, 5122, 5123, 5125, 5126, [], {}, [0], [[]],
    [0, 0, 0], [1e300, 1e300, 1e300], [0] * 16, [None], {"index": 0}, {"bufferView": 0}, [0, 1, 2, 3] * 50,
)  # fmt: skip
_KEYS = ("children", "mesh", "matrix", "translation", "skin", "weights", "targets", "sparse", "normalized", "mode",
         "bufferView", "byteOffset", "byteStride", "count", "componentType", "type", "extensions", "extensionsRequired",
         "min", "max", "indices", "material", "texCoord", "uri", "joints")  # fmt: skip
_EXTENSIONS = ("KHR_texture_transform", "KHR_draco_mesh_compression", "EXT_meshopt_compression",
               "KHR_mesh_quantization",
               "EXT_mesh_gpu_instancing", "EXT_made_up", "KHR_materials_variants")  # fmt: skip


def case(seed: int, number: int) -> tuple[str, bytes]:
    """A damaged file: its suffix and its bytes."""
    rng = random.Random(f"{seed} {number}")
    suffix = SUFFIXES[number % len(SUFFIXES)]
    data = rng.choice(seeds()[suffix])
    largest = 1 << (20 if rng.random() < 0.01 else 15)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        data = _mutated(rng, suffix, data)[:largest]
    return suffix, data


def _mutated(rng: random.Random, suffix: str, data: bytes) -> bytes:
    structured = rng.random() < 0.75
    if structured and suffix in (".glb", ".gltf"):
        return _json_mutated(rng, suffix, data)
    if structured and (suffix != ".stl" or b"facet" in data):
        return _text_mutated(rng, data)
    return _bytes_mutated(rng, suffix, data)


def _bytes_mutated(rng: random.Random, suffix: str, data: bytes) -> bytes:
    if not data:
        return rng.choice(seeds()[suffix])
    at = rng.randrange(len(data))
    end = min(len(data), at + rng.choice((1, 2, 4, 8, 16, 100)))
    match rng.randrange(7):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:]
        case 3:
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        case 4:
            size = rng.choice((1, 2, 4))
            value = (rng.choice(_INTEGERS) & (256**size - 1)).to_bytes(size, rng.choice(("little", "big")))
            return data[:at] + value + data[at + size :]
        case 5:
            other = rng.choice(seeds()[suffix])
            return data[:at] + other[rng.randrange(len(other)) :]
        case _:
            return data[:at] + rng.randbytes(rng.choice((1, 4, 60))) + data[at:]


def _text_mutated(rng: random.Random, data: bytes) -> bytes:
    """Changes a word, or whole lines; of a binary PLY mostly in its header."""
    head_end = data.find(b"end_header")
    limit = head_end + 11 if head_end >= 0 and rng.random() < 0.4 else len(data)
    head, rest = data[:limit], data[limit:]
    if rng.random() < 0.6:
        words = list(re.finditer(rb"[^\s/]+", head))
        if not words:
            return data
        word = rng.choice(words)
        return head[: word.start()] + _word(rng, word.group()) + head[word.end() :] + rest
    lines = head.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = [lines[at]] * rng.choice((1, 2, 40, 2000))
        case 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = lines[at].upper()
        case 4:
            lines[at] += rng.choice((b" ", b"\r", b"\\", b" # end", b" 1", b" 1 2 3"))
        case 5:
            lines[at] = b" ".join([lines[at]] * rng.choice((2, 3, 50)))
        case 6:
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        case _:
            return rng.choice((b"\r\n", b"\r", b"\n\n")).join(lines) + rest
    return b"\n".join(lines) + rest


def _word(rng: random.Random, word: bytes) -> bytes:
    if rng.random() < 0.7 or not word:
        return rng.choice(_TOKENS)
    if re.fullmatch(rb"-?[0-9]+", word[:18]) and rng.random() < 0.7:
        return str(int(word[:18]) + rng.choice((-1, 1, -2, 10, 10**9))).encode()
    return word + rng.choice(_TOKENS)


def _json_mutated(rng: random.Random, suffix: str, data: bytes) -> bytes:
    try:
        document, binary = _taken_apart(suffix, data)
    except (ValueError, struct.error, RecursionError):
        return _bytes_mutated(rng, suffix, data)
    if not isinstance(document, dict):
        return _bytes_mutated(rng, suffix, data)
    _damage(rng, document)
    text = json.dumps(document).encode()
    if suffix == ".gltf":
        return text
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _taken_apart(suffix: str, data: bytes) -> tuple[Any, bytes]:
    if suffix == ".gltf":
        return json.loads(data), b""
    (length,) = struct.unpack("<I", data[12:16])
    return json.loads(data[20 : 20 + length]), data[20 + length :]


def _damage(rng: random.Random, document: dict[str, Any]) -> None:
    """One change somewhere in the tree."""
    nodes = document.get("nodes")
    if rng.random() < 0.06 and isinstance(nodes, list) and nodes and isinstance(nodes[-1], dict):
        nodes[-1]["children"] = [rng.randrange(len(nodes)) for _ in range(rng.choice((1, 2, 30)))]
        return
    if rng.random() < 0.04 and isinstance(nodes, list) and nodes:
        # Each node has its follower twice: 2**40 places of the last one.
        first = len(nodes)
        nodes += [{"children": [first + i + 1] * 2} for i in range(40)] + [{"mesh": 0}]
        document["scenes"] = [{"nodes": [first]}]
        return
    if rng.random() < 0.05:
        names = rng.sample(_EXTENSIONS, 2)
        document[rng.choice(("extensionsRequired", "extensionsUsed"))] = names
        return
    holder: Any = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
            holder = holder[key]
            continue
        _change(rng, holder, key)
        return
    if isinstance(holder, dict):
        holder[rng.choice(_KEYS)] = rng.choice(_VALUES)


def _change(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    choice = rng.randrange(6)
    if choice == 0:
        del holder[key]
    elif choice == 1 and isinstance(holder, dict):
        holder[rng.choice(_KEYS)] = rng.choice(_VALUES)
    elif choice == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = value + rng.choice((-1, 1, 2, 4, 1000, 10**9, 0.5))
    elif choice == 3 and isinstance(holder, list):
        holder.extend([value] * rng.choice((1, 3, 500)))
    elif choice == 4 and isinstance(holder, dict):
        holder["extensions"] = {rng.choice(_EXTENSIONS): rng.choice((*_VALUES, {"attributes": {"TRANSLATION": 0}}))}
    else:
        holder[key] = rng.choice(_VALUES)


class Judge:
    """Reads cases, and keeps what must not be: an exception other than `MeshError`, a message of several lines, more
    than `limit` seconds of the processor."""

    def __init__(self, folder: Path, *, limit: float = 2.0) -> None:
        self._folder, self._limit = folder, limit
        self.outcomes: Counter[str] = Counter()
        self.failures: list[dict[str, str | int]] = []
        self.slowest = 0.0

    def look(self, number: int, suffix: str, data: bytes) -> None:
        """One case: read, triangulated, and its UVs laid out in tiles."""
        started = time.perf_counter()
        outcome, found = self._outcome(suffix, data)
        seconds = time.perf_counter() - started
        if seconds > self._limit:
            # The clock also runs while others use the processor; asking for the processor's time is slow.
            started = time.process_time()
            self._outcome(suffix, data)
            seconds = time.process_time() - started
        self.slowest = max(self.slowest, seconds)
        self.outcomes[f"{suffix[1:]} {outcome}"] += 1
        if seconds > self._limit:
            found = f"{seconds:.1f} s"
        if found:
            self.failures.append({"case": number, "suffix": suffix, "what": found})

    def _outcome(self, suffix: str, data: bytes) -> tuple[str, str]:
        try:
            with np.errstate(all="ignore"):
                mesh = READERS[suffix](self._folder / f"m{suffix}", data)
                check_triangle_count(mesh.name, mesh.polygon_sizes)
                triangles = triangulate(mesh)
                arrange_uvs(triangles.corner_uvs, chart_ids(triangles))
        except MeshError as error:
            sentence = str(error)
            whole = "\n" not in sentence and len(sentence) < 700
            return "refused by a sentence", "" if whole else f"no sentence: {sentence[:300]!r}"
        except Exception:  # noqa: BLE001
            lines = traceback.format_exc().strip().splitlines()
            return "failed", f"{lines[-1][:200]} | {' | '.join(line.strip() for line in lines[-7:-1])}"
        return ("read with notes" if mesh.notes else "read"), ""
