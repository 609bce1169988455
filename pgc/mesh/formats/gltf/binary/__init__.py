# SPDX-License-Identifier: Apache-2.0
"""Numbers out of the bytes of a glTF: buffers, accessors, and what is compressed."""
