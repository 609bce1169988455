# SPDX-License-Identifier: Apache-2.0
"""What a run keeps of what its mesh says, and what it notes of that."""

from pathlib import Path

import pytest
import trimesh

from pgc.baking.mesh_masks import read_mesh_mask
from pgc.mesh import load_mesh, prepare_mesh
from pgc.runs.sources.reading import SourceFiles, read_sources


def notes_of(mesh: trimesh.Trimesh, kind: str, folder: Path) -> tuple[str, ...]:
    path = folder / "body.obj"
    mesh.export(path)
    nothing = dict.fromkeys(("initial", "start", "lock_mask", "change_mask", "keep_by", "oracle", "reference"))
    files = SourceFiles(**nothing, change_by=read_mesh_mask("--change-by", kind))
    return read_sources(files, prepare_mesh(load_mesh(path)), 64).notes


@pytest.mark.parametrize(("kind", "matters"), [("crevices", True), ("up", True), ("height", False)])
def test_a_mesh_whose_normals_point_inwards_is_noted_where_it_matters(kind, matters, tmp_path):
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    if kind != "crevices":
        # From outside a box has none.
        assert notes_of(box, kind, tmp_path) == ()
    box.invert()
    notes = notes_of(box, kind, tmp_path)
    assert len(notes) == matters
    assert all("normals of body point inwards" in note for note in notes)
