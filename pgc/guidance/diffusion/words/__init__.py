# SPDX-License-Identifier: Apache-2.0
"""What prompts mean to a model, encoded once and kept on the disk; text encoders that are loaded when needed."""
