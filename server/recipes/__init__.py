# SPDX-License-Identifier: Apache-2.0
"""Job spec to pgc configuration: the only package that knows both."""

from server.recipes.imagining import MeshRun, planner_of, prepare_mesh_job
from server.recipes.loras import JobLoras
from server.recipes.prepare import JobRun, prepare
from server.recipes.settings import MODEL_KEYS, memory_planner, resolved
from server.recipes.shaping import ShapePlanner
from server.recipes.unwrapping import new_corner_uvs

__all__ = [
    "MODEL_KEYS",
    "JobLoras",
    "JobRun",
    "MeshRun",
    "ShapePlanner",
    "memory_planner",
    "new_corner_uvs",
    "planner_of",
    "prepare",
    "prepare_mesh_job",
    "resolved",
]
