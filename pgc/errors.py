# SPDX-License-Identifier: Apache-2.0
"""Every error that pgc raises on purpose.

    PgcError
    ├── MeshError         a mesh cannot be read, checked, unwrapped or written
    ├── CameraError       a camera, rig or sampler is not usable
    ├── TextureError      a texture, mask or texel field is not usable
    ├── GuidanceError     a diffusion prior is missing, refused or incompatible
    ├── ConfigError       a setting is unknown or out of range
    ├── CheckpointError   a saved run cannot be resumed
    └── OutputError       a result cannot be written

A message says what was got, what was expected, and what to do.
"""

__all__ = [
    "CameraError",
    "CheckpointError",
    "ConfigError",
    "GuidanceError",
    "MeshError",
    "OutputError",
    "PgcError",
    "TextureError",
]


class PgcError(Exception):
    """Root of all errors that pgc raises on purpose."""


class MeshError(PgcError):
    """A mesh cannot be read, checked, unwrapped or written."""


class CameraError(PgcError):
    """A camera, rig or sampler is not usable."""


class TextureError(PgcError):
    """A texture, mask or texel field is not usable."""


class GuidanceError(PgcError):
    """A diffusion prior is missing, refused or incompatible."""


class ConfigError(PgcError):
    """A setting is unknown or out of range."""


class CheckpointError(PgcError):
    """A saved run cannot be resumed."""


class OutputError(PgcError):
    """A result cannot be written; the text says which file, why, and what to do."""
