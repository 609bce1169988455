# SPDX-License-Identifier: Apache-2.0
"""The process that owns a GPU (or the CPU) and runs one job at a time."""
