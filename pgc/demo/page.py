# SPDX-License-Identifier: Apache-2.0
"""index.html: pictures and a 3D viewer, in a page that works from file:// without a network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgc.demo.assets import viewer_script
from pgc.whole_files import write_bytes

__all__ = ["BLENDER_LIGHTS", "BLENDER_PROMPT", "PageEntry", "page_html", "write_page"]

BLENDER_PROMPT = "polished gold"
"""What the extension is asked for in Blender, with roughness and metallic."""

_STYLE = """
:root { color-scheme: light dark; --edge: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; }
section { border-top: 1px solid var(--edge); margin-top: 2rem; padding-top: .5rem; }
.row { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr); gap: 1rem; }
@media (max-width: 50rem) { .row { grid-template-columns: 1fr; } }
model-viewer { width: 100%; height: 24rem; background: #dbdbdb; border-radius: .5rem; }
img { max-width: 100%; border-radius: .5rem; display: block; }
.small { display: flex; gap: 1rem; margin-top: 1rem; align-items: flex-start; flex-wrap: wrap; }
.small img { height: 11rem; }
.lights { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.lights figure { margin: 0; }
.quiet { opacity: .7; font-size: .9rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--edge); padding-top: .5rem; }
"""

# Blender's pictures are made after the page, and only where there is a Blender: they are shown as soon as they load.
_BLENDER = """\
<section id="blender" hidden>
<h2>In Blender</h2>
<p class="quiet">“{prompt}”, by the extension's Generate Texture; rendered by Cycles under three lights.
<a href="blender.blend">blender.blend</a></p>
<div class="lights">
{pictures}
</div>
</section>
"""

BLENDER_LIGHTS = {"studio": "blender.png", "sky": "blender-sky.png", "colored key": "blender-colored-key.png"}
"""The lights of `pgc.rendering.environment` under which Blender renders, and the pictures' files."""

_MAPS = ("roughness.png", "metallic.png", "normal.png", "occlusion.png")
"""Shown beside base_color.png, where a demo has made them."""

_SCRIPT = """
const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const viewer of document.querySelectorAll("model-viewer")) {
  viewer.toggleAttribute("auto-rotate", !still);
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageEntry:
    """One prompt's part of the page."""

    name: str
    """Folder beside index.html."""
    prompt: str
    facts: str = ""
    """One line about the run; empty while it goes on."""


def _blender(prompt: str) -> str:
    pictures = "\n".join(
        f'<figure><img src="{file}" alt="{html.escape(prompt, quote=True)}, rendered by Blender, {light}" '
        f"onload=\"this.closest('section').hidden = false\">"
        f'<figcaption class="quiet">{light}</figcaption></figure>'
        for light, file in BLENDER_LIGHTS.items()
    )
    return _BLENDER.format(prompt=html.escape(prompt), pictures=pictures)


def _viewer(folder: Path, entry: PageEntry) -> str:
    """The model inlined: a page from file:// may not read other files."""
    model = base64.b64encode((folder / entry.name / "textured.glb").read_bytes()).decode("ascii")
    return (
        f'<model-viewer alt="{html.escape(entry.prompt, quote=True)}" camera-controls loading="eager" '
        'interaction-prompt="none" shadow-intensity="0.6" camera-orbit="20deg 72deg auto" '
        f'src="data:model/gltf-binary;base64,{model}"></model-viewer>'
    )


def _section(folder: Path, entry: PageEntry) -> str:
    heading = f"<section>\n<h2>“{html.escape(entry.prompt)}”</h2>\n"
    name = html.escape(entry.name, quote=True)
    preview = (
        f'<img src="{name}/preview.png" alt="six views">' if (folder / entry.name / "preview.png").is_file() else ""
    )
    if not entry.facts:
        return f'{heading}<p class="quiet">Not finished yet.</p>\n{preview}\n</section>\n'
    turntable = (
        f'<img src="{name}/turntable.webp" alt="turning">\n'
        if (folder / entry.name / "turntable.webp").is_file()
        else ""
    )
    maps = [file for file in _MAPS if (folder / entry.name / file).is_file()]
    links = " · ".join(
        f'<a href="{name}/{file}">{file}</a>'
        for file in ("base_color.png", *maps, "textured.glb", "preview.png", "run.json")
    )
    others = "".join(f'<img src="{name}/{file}" alt="{file.removesuffix(".png")}">' for file in maps)
    return (
        f'{heading}<p class="quiet">{html.escape(entry.facts)} {links}</p>\n'
        f'<div class="row"><div>{_viewer(folder, entry)}</div><div>{preview}</div></div>\n'
        f'<div class="small">{turntable}<img src="{name}/base_color.png" alt="the texture">{others}</div>\n</section>\n'
    )


def page_html(folder: Path, entries: Sequence[PageEntry]) -> str:
    """Writes the page for what lies in `folder` now; it reloads itself while something is unfinished."""
    unfinished = any(not entry.facts for entry in entries)
    refresh = '<meta http-equiv="refresh" content="5">\n' if unfinished else ""
    # A script element ends at the first "</script", wherever it stands.
    script = viewer_script().replace("</script", r"<\/script")
    viewer = "" if unfinished else f"<script>{script}</script>\n"
    sections = "".join(_section(folder, entry) for entry in entries)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{refresh}'
        '<meta name="viewport" content="width=device-width">\n<title>pgc demo</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>pgc demo</h1>\n"
        '<p class="quiet">One mesh, three prompts, textured on this machine by the prior that comes with pgc. '
        "Drag a model to turn it, scroll to come closer.</p>\n"
        f"{sections}{_blender(BLENDER_PROMPT)}"
        '<footer class="quiet">3D viewer: &lt;model-viewer&gt; by Google, Apache-2.0. '
        "Mesh: the Utah teapot by Martin Newell, 1975.</footer>\n"
        f"<script>{_SCRIPT}</script>\n{viewer}</body>\n</html>\n"
    )


def write_page(folder: Path, entries: Sequence[PageEntry]) -> Path:
    """Writes index.html and returns its path. Raises OutputError where that fails."""
    path = folder / "index.html"
    write_bytes(path, page_html(folder, entries).encode())
    return path
