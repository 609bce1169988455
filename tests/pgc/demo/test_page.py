# SPDX-License-Identifier: Apache-2.0
import base64
import html.parser

import pytest

from pgc.demo import page
from pgc.demo.page import BLENDER_LIGHTS, PageEntry, page_html, write_page

DONE = PageEntry(name="bricks", prompt='red <bricks> & "mortar"', facts="3 steps.")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bricks").mkdir()
    (tmp_path / "bricks" / "textured.glb").write_bytes(b"glTF-model")
    (tmp_path / "bricks" / "preview.png").write_bytes(b"")
    (tmp_path / "bricks" / "turntable.webp").write_bytes(b"")
    return tmp_path


class Tags(html.parser.HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def test_a_finished_entry_has_its_model_inlined_and_its_pictures_linked(folder):
    tags = Tags(page_html(folder, [DONE]))
    (viewer,) = tags.named("model-viewer")
    kind, data = viewer["src"].split(",")
    assert kind == "data:model/gltf-binary;base64"
    assert base64.b64decode(data) == b"glTF-model"
    assert viewer["alt"] == DONE.prompt
    assert [image["src"] for image in tags.named("img")] == [
        "bricks/preview.png",
        "bricks/turntable.webp",
        "bricks/base_color.png",
        *BLENDER_LIGHTS.values(),
    ]
    assert any(DONE.prompt in text for text in tags.text)


def test_nothing_is_fetched_from_elsewhere(folder):
    tags = Tags(page_html(folder, [DONE]))
    addresses = [value for _, attributes in tags.tags for key, value in attributes.items() if key in {"src", "href"}]
    assert addresses
    assert all(not address.startswith(("http:", "https:", "//")) for address in addresses)
    assert all("src" not in script for script in tags.named("script"))


def test_an_unfinished_page_reloads_itself_and_leaves_the_viewer_out(folder):
    tags = Tags(page_html(folder, [DONE, PageEntry(name="later", prompt="later")]))
    assert any(attributes.get("http-equiv") == "refresh" for attributes in tags.named("meta"))
    assert len(tags.named("script")) == 1
    finished = Tags(page_html(folder, [DONE]))
    assert not any(attributes.get("http-equiv") for attributes in finished.named("meta"))
    assert len(finished.named("script")) == 2


def test_the_inlined_script_cannot_end_its_element(folder, monkeypatch):
    monkeypatch.setattr(page, "viewer_script", lambda: "'</script><b>'")
    assert Tags(page_html(folder, [DONE])).named("b") == []


def test_the_page_is_written(folder):
    assert write_page(folder, [DONE]) == folder / "index.html"
    assert (folder / "index.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_maps_that_were_made_are_shown(folder):
    (folder / "bricks" / "normal.png").write_bytes(b"")
    shown = [image["src"] for image in Tags(page_html(folder, [DONE])).named("img")]
    assert "bricks/normal.png" in shown
    assert "bricks/metallic.png" not in shown
