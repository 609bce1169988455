# SPDX-License-Identifier: Apache-2.0
"""Job spec to pgc configuration: the only package that knows both."""

from server.recipes.added import JobFiles
from server.recipes.mesh_jobs import planner_of, prepare_mesh_job
from server.recipes.mesh_runs import MeshRun
from server.recipes.picturing import JobArrays
from server.recipes.prepare import JobRun, prepare
from server.recipes.settings import MODEL_KEYS, PriorSpec, memory_planner, resolved
from server.recipes.unwrapping import new_corner_uvs

__all__ = [
    "MODEL_KEYS",
    "JobArrays",
    "JobFiles",
    "JobRun",
    "MeshRun",
    "PriorSpec",
    "memory_planner",
    "new_corner_uvs",
    "planner_of",
    "prepare",
    "prepare_mesh_job",
    "resolved",
]
