# SPDX-License-Identifier: Apache-2.0
"""Priors that were trained on straight paths from a picture to noise: a file a class of model."""
