# SPDX-License-Identifier: Apache-2.0
"""The training data of the pocket prior: shapes, materials, renders and captions, all procedural."""
