# SPDX-License-Identifier: Apache-2.0
"""The sheet of the finishes' models in Cycles."""

import numpy as np
import pytest
import torch

from pgc.evaluation.meshes import evaluation_mesh
from pgc.export.material import ExportConfig, export_material
from pgc.mesh import prepare_mesh
from pgc.texture.field import BakedTexture
from tests.blender import finishes
from tests.blender.demo import environments


def _model(folder, metallic):
    mesh = prepare_mesh(evaluation_mesh("star"))
    values = {"base_color": (3, 0.6), "metallic": (1, metallic), "roughness": (1, 0.1)}
    maps = {name: [torch.full((count, 16, 16), value)] for name, (count, value) in values.items()}
    export_material(folder, mesh, BakedTexture(maps=maps, tiles=mesh.report.tiles), ExportConfig())
    return folder / "textured.glb"


def test_without_models_it_says_so(tmp_path, capsys):
    assert finishes.main([str(tmp_path), str(tmp_path / "sheet.webp")]) == 1
    assert "textured.glb" in capsys.readouterr().err


@pytest.mark.blender
@pytest.mark.slow
def test_a_column_for_every_model_and_a_row_for_every_light(tmp_path, blender):
    models = [_model(tmp_path / str(index), metallic) for index, metallic in enumerate((1.0, 0.0))]
    sheet = np.asarray(finishes.render_sheet(blender, models, 48), np.float32)
    assert sheet.shape == (48 * len(environments()), 96, 3)
    cells = sheet.reshape(3, 48, 2, 48, 3).transpose(2, 0, 1, 3, 4)
    for light in range(3):
        assert np.abs(cells[0, light] - cells[1, light]).mean() > 2.0, "metal looks like plastic"
    assert np.abs(cells[0, 0] - cells[0, 1]).mean() > 4.0, "studio looks like sky"
