# SPDX-License-Identifier: Apache-2.0
"""A run's first steps: pictures of the mesh from all round, sampled together, become its first texture."""
