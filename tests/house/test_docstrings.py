# SPDX-License-Identifier: Apache-2.0
"""The docstring of a public function is a sentence: it begins with what the function does, "Draws …", "Returns …"."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.__main__ import ROOT

PACKAGES = ("pgc", "server", "blender_addon")

NO_VERBS = (
    "This Its As Was Always Unless Lens Addresses Areas Attributes Bytes Cameras Cells Classes Clients Colours "
    "Columns Commands Connections Coordinates Dataclasses Edges Faces Fields Files Frames Images Indices Integers "
    "Latents Layers Lines Logits Meshes Numbers Octaves Paths Phrases Pictures Pixels Polygons Positions Points "
    "Processes Rays Results Rows Seconds Sessions Settings Texels Tensors Tiles Triangles Users Values Variables "
    "Vertices Views Words"
)
"""What ends in "s" as a verb does, and is none."""


def faults(text: str) -> Iterator[str]:
    """Yields a line for each public function whose docstring is no such sentence.

    A property reads as a noun, so it may begin as it likes. Ruff says where a docstring is missing.
    """
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        found = ast.get_docstring(node)
        if found is None or any(re.search(r"property$|\.setter$", ast.unparse(one)) for one in node.decorator_list):
            continue
        first = re.match(r"[A-Z][a-z]*[a-rt-z]s\b", found)
        if first is None or first.group() in NO_VERBS.split():
            yield f"{node.lineno} {node.name}: {found.split()[0]!r} is no verb in the third person, such as 'Returns'."
        if "." not in found.split("\n\n")[0]:
            yield f"{node.lineno} {node.name}: its first sentence has no full stop."


@pytest.mark.slow
def test_docstrings_begin_with_what_the_function_does():
    files = (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    found = [f"{file.relative_to(ROOT)}:{fault}" for file in files for fault in faults(file.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "docstring",
    [
        "The smaller half.",
        "Return the smaller half.",
        "See `larger`.",
        "Whether it is small.",
        "Faces of the smaller half.",
        "UVs of the smaller half.",
        "Address of the smaller half.",
        "Everybody's smaller half.",
        "Its smaller half.",
        "sRGB in [0, 1] to bytes.",
        "Returns the smaller half",
        "Returns the smaller half\n\n    The rest stays.",
    ],
)
def test_what_is_no_sentence_is_seen(docstring):
    (fault,) = faults(f'class Mesh:\n  async def half(self):\n    """{docstring}"""\n')
    assert fault.startswith("2 half: ")


@pytest.mark.parametrize(
    "text",
    [
        'def half():\n  """Returns the smaller half."""\n',
        'def half():\n  """Returns the smaller half: of 3 faces\n  one.\n\n  See [1]\n  """\n',
        'def _half():\n  """The smaller half"""\n',
        'class Mesh:\n  """A mesh"""\n',
        'class Mesh:\n  @functools.cached_property\n  def half(self):\n    """The smaller half."""\n',
        'class Mesh:\n  @half.setter\n  def half(self, value):\n    """The smaller half."""\n',
    ],
)
def test_sentences_and_what_is_no_public_function_pass(text):
    assert not list(faults(text))
