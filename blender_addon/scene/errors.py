# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a scene, said to an artist."""

__all__ = ["SceneError"]


class SceneError(Exception):
    """The scene cannot be used as it is.

    Args:
        text: one sentence: what is there, what is needed.
        fix: `bl_idname` of the operator that mends it, such as "pgc.unwrap"; None where a person has to.
    """

    def __init__(self, text: str, fix: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.fix = fix
