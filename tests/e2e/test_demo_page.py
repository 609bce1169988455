# SPDX-License-Identifier: Apache-2.0
"""The demo's page in a real browser, from file://."""

import io
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.demo.page import PageEntry, write_page
from pgc.export.glb import write_glb
from pgc.images.maps import encode_png
from pgc.mesh import load_mesh, prepare_mesh

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--force-prefers-reduced-motion", "--hide-scrollbars", "--force-device-scale-factor=1"),
    *("--window-size=420,720", "--virtual-time-budget=6000", "--disable-dev-shm-usage"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
]


@pytest.fixture
def page(cube_obj, tmp_path):
    """A page with one magenta cube in the viewer and nothing but gray in the pictures."""
    folder = tmp_path / "page"
    (folder / "cube").mkdir(parents=True)
    magenta = torch.tensor([230, 0, 230], dtype=torch.uint8).reshape(3, 1, 1).expand(3, 16, 16)
    write_glb(folder / "cube" / "textured.glb", prepare_mesh(load_mesh(cube_obj)), {"base_color": encode_png(magenta)})
    for name in ("preview.png", "base_color.png", "turntable.webp"):
        Image.new("RGB", (32, 32), (128, 128, 128)).save(folder / "cube" / name)
    return write_page(folder, [PageEntry(name="cube", prompt="magenta", facts="1 step.")])


def browse(page, profile, *arguments):
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, timeout=300, check=True).stdout


def magenta_share(image):
    pixels = np.array(image.convert("RGB"), dtype=int)
    return float(((pixels[..., 0] > 100) & (pixels[..., 2] > 100) & (pixels[..., 1] < 0.5 * pixels[..., 0])).mean())


def test_the_viewer_shows_the_model_with_its_texture(page, tmp_path):
    shot = tmp_path / "shot.png"
    browse(page, tmp_path / "profile", f"--screenshot={shot}")
    image = Image.open(io.BytesIO(shot.read_bytes()))
    assert magenta_share(image) > 0.05
    # Without the viewer nothing on the page is magenta, so that the above is the model.
    page.write_text(page.read_text(encoding="utf-8").replace("model-viewer alt=", "div alt="), encoding="utf-8")
    browse(page, tmp_path / "profile", f"--screenshot={shot}")
    assert magenta_share(Image.open(io.BytesIO(shot.read_bytes()))) == 0.0


def test_blenders_picture_is_shown_when_it_is_there(page, tmp_path):
    without = browse(page, tmp_path / "profile", "--dump-dom").decode()
    assert '<section id="blender" hidden="">' in without
    Image.new("RGB", (32, 32), (128, 128, 128)).save(page.with_name("blender.png"))
    assert '<section id="blender">' in browse(page, tmp_path / "profile", "--dump-dom").decode()
