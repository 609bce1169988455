# SPDX-License-Identifier: Apache-2.0
"""What a job is made of: its mesh, its cameras, its settings."""
