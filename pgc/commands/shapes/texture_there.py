# SPDX-License-Identifier: Apache-2.0
"""The second half of `pgc imagine --server`: the mesh that came is textured by a job of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgc.commands.texturing.remote import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgc.remote.events import JobEvents
    from pgc.remote.following import RemoteHooks
    from pgc.remote.shape_job import ShapeWish
    from pgc.runs.folder import RunFolder
    from pgc.terminal.progress import RunDisplay

__all__ = ["texturing_there"]


def texturing_there(
    wish: ShapeWish, out: Path, steps: int | None, size: int | None
) -> Callable[[JobEvents, RemoteHooks, RunDisplay], bool]:
    """Returns what textures volume.glb in a folder, in its folder "texture", and writes imagined.glb.

    Args:
        wish: what the mesh was made by.
        steps: of the texture; size: its side, pixels. None: the server's choice.
    """

    def texture(events: JobEvents, hooks: RemoteHooks, display: RunDisplay) -> bool:
        """Returns whether all steps were taken. Raises PgcError where the job failed."""
        from pgc.remote.texturizer import RemoteTexturizer
        from pgc.runs.arguments import TextureArguments
        from pgc.runs.folder import OutputConfig, RunFolder
        from pgc.runs.report import VOLUME_FORMAT, read_report
        from pgc.runs.settings.choices import RunChoices
        from pgc.volume.outcome import REPORT, TEXTURE_FOLDER, TEXTURED, hashes
        from pgc.whole_files import write_bytes, write_json

        display.begin("Texturing")
        choices = RunChoices(steps=steps, texture_size=size, seed=wish.settings.seed)
        given = TextureArguments.of(
            choices,
            mesh=str((out / "volume.glb").absolute()),
            prompt=wish.prompt.text,
            negative=wish.prompt.negative or None,
            guidance=wish.model,
        )
        report, place = read_report(out / REPORT, (VOLUME_FORMAT,)), RunFolder(out / TEXTURE_FOLDER)
        volume = key_of(report)
        key = _begun(place, volume)
        if key is None:
            place.claim(overwrite=True)
        texturizer = RemoteTexturizer(events, OutputConfig(), server={"volume": volume})
        run = texturizer.start(given, place, hooks, key=key)
        outcome = texturizer.finish(run, texturizer.follow(run, hooks), hooks)
        if outcome.report.files:
            write_bytes(out / TEXTURED, (place.path / "textured.glb").read_bytes())
            files = {**report["files"], TEXTURED: hashes(out, (TEXTURED,))[TEXTURED]}
            files.update({f"{TEXTURE_FOLDER}/{name}": digest for name, digest in outcome.report.files.items()})
            write_json(out / REPORT, {**report, "files": files})
        return outcome.finished

    return texture


def _begun(place: RunFolder, volume: str) -> str | None:
    """The key of the texture's job, where one of this very mesh was sent, and neither failed nor was cancelled."""
    from pgc.errors import CheckpointError
    from pgc.runs.report import read_report

    try:
        report = read_report(place.report)
    except CheckpointError:
        # None was sent yet.
        return None
    told = report.get("server") or {}
    ended = report.get("state") in ("failed", "interrupted")
    return told.get("key") if told.get("volume") == volume and not ended else None
