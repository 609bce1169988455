# SPDX-License-Identifier: Apache-2.0
"""Blender extension that textures a mesh from a prompt. Importing this package needs no Blender."""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled, and when Blender ends."""
    from . import registration

    registration.unregister()
