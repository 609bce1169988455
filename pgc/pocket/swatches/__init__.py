# SPDX-License-Identifier: Apache-2.0
"""Materials of the training data with their truth: base colour, roughness, metallic and height at surface points."""
