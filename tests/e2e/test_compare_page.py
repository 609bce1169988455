# SPDX-License-Identifier: Apache-2.0
"""The page of `pgc compare` in a real browser, from file://: viewers move together, and blind choices are saved."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from pgc.comparison.page import ComparedRun, write_comparison_page
from pgc.comparison.votes import read_votes, sum_up
from pgc.export.glb import write_glb
from pgc.images.maps import encode_png
from pgc.mesh import load_mesh, prepare_mesh
from tests.e2e.test_demo_page import BROWSER, browse, magenta_share

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
]

HOSTILE = 'red </script><img src=x onerror="document.title=1"> & <b>'
"""A prompt that would be markup where it is not escaped."""

DRIVER = """
<script>
(async () => {
  const out = document.createElement("pre");
  out.id = "found";
  const say = (name, value) => { out.textContent += name + "=" + JSON.stringify(value) + "\\n"; };
  const loaded = async () => {
    for (let i = 0; i < 400; i++) {
      const viewers = [...document.querySelectorAll("model-viewer")];
      if (viewers.length && viewers.every((one) => one.loaded)) return viewers;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error("the viewers never came");
  };
  const [left, right] = await loaded();
  left.cameraOrbit = "100deg 60deg 5m";
  left.jumpCameraToGoal();
  await new Promise((done) => setTimeout(done, 200));
  say("apart", [left, right].map((one) => one.getCameraOrbit().theta.toFixed(3)));
  left.dispatchEvent(new CustomEvent("camera-change", { detail: { source: "user-interaction" } }));
  await new Promise((done) => setTimeout(done, 200));
  say("together", [left, right].map((one) => one.getCameraOrbit().theta.toFixed(3)));
  say("named", document.getElementById("blind").innerText.includes("method"));
  const saved = [];
  URL.createObjectURL = (blob) => { saved.push(blob); return "blob:none"; };
  document.querySelector('[data-choice="left"]').click();
  document.querySelector('[data-choice="tie"]').click();
  document.getElementById("back").click();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "3" }));
  say("progress", document.getElementById("progress").textContent);
  document.getElementById("save").click();
  say("votes", await saved[0].text());
  document.body.append(out);
})();
</script>
"""


@pytest.fixture
def page(cube_obj: Path, tmp_path: Path) -> Path:
    """Two methods on two prompts: gray cubes, and magenta ones."""
    mesh = prepare_mesh(load_mesh(cube_obj))
    runs = []
    for at, (method, color) in enumerate((("method A", (128, 128, 128)), ("method B", (230, 0, 230)))):
        for prompt in ("blue", HOSTILE):
            folder = tmp_path / f"run{len(runs)}"
            folder.mkdir()
            pixels = torch.tensor(color, dtype=torch.uint8).reshape(3, 1, 1).expand(3, 16, 16)
            write_glb(folder / "textured.glb", mesh, {"base_color": encode_png(pixels)})
            Image.new("RGB", (32, 32), (128, 128, 128)).save(folder / "preview.png")
            runs.append(
                ComparedRun(
                    key=f"{at}{len(runs)}", method=method, settings={"clip": str(at)}, prompt=prompt, mesh="cube.obj",
                    seed=0, steps=1, seconds=1.0, scores={"speckle": 0.01 * at}, regulation={}, folder=folder,
                )
            )  # fmt: skip
    return write_comparison_page(tmp_path / "index.html", runs)


def test_side_by_side_shows_both_and_the_table_their_means(page: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    browse(page, tmp_path / "profile", f"--screenshot={shot}", "--window-size=900,500")
    image = Image.open(shot).convert("RGB")
    half = image.width // 2
    left, right = image.crop((0, 0, half, image.height)), image.crop((half, 0, image.width, image.height))
    assert magenta_share(left) == 0.0
    assert magenta_share(right) > 0.05
    dom = browse(page, tmp_path / "profile", "--dump-dom").decode()
    assert "<td>method B</td><td>2</td><td>0.010 (0.010 to 0.010)</td>" in dom
    assert "<title>pgc compare</title>" in dom, "no script of a prompt ran"
    assert "<img src=x" not in re.sub(r'<script type="application/json".*?</script>', "", dom, flags=re.DOTALL)


def test_blind_choices_are_saved_and_summed_up(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("</body>", DRIVER + "</body>")
    text = text.replace("location.hash.slice(1)", '"blind"')
    page.write_text(text, encoding="utf-8")
    dom = browse(page, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=20000").decode()
    lines = re.search(r'<pre id="found">(.*?)</pre>', dom, flags=re.DOTALL)
    assert lines is not None, "the driver did not come to its end"
    found = dict(line.split("=", 1) for line in lines[1].strip().splitlines())
    apart, together = json.loads(found["apart"]), json.loads(found["together"])
    assert apart[0] != apart[1], "what the page does moves one"
    assert together == [apart[0]] * 2, "what a person does moves both"
    assert found["named"] == "false", "the names are not in sight"
    assert found["progress"] == '"2 of 2 chosen."'
    saved = tmp_path / "votes.json"
    decoded = found["votes"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    saved.write_text(json.loads(decoded), encoding="utf-8")
    votes = read_votes([saved])
    assert [vote.choice for vote in votes] == ["left", "right"]
    assert {vote.prompt for vote in votes} == {"blue", HOSTILE}
    assert sum_up(votes).pairs[0].prefer_first.trials == 2
