# SPDX-License-Identifier: Apache-2.0
"""Blender extension that textures a mesh from a prompt. Importing this package needs no Blender."""


def register() -> None:
    """Registers the extension: Blender calls this when it is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Takes the extension back: Blender calls this when it is disabled, and when Blender ends."""
    from . import registration

    registration.unregister()
