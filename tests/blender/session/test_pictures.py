# SPDX-License-Identifier: Apache-2.0
"""New Object by Image in Blender: the picture travels as it lies on the disk, and an object comes of it."""

from pathlib import Path

import pytest
from PIL import Image

PROBE = "probe_pictures.py"


@pytest.fixture
def photograph(tmp_path):
    """A JPEG that asks to be turned, as cameras write them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "mug.jpg"
    Image.new("RGB", (24, 16), "red").save(path, exif=exif)
    return str(path)


@pytest.mark.blender
@pytest.mark.slow
def test_a_true_server_makes_an_object_of_a_picture(run_in_blender, connection, tmp_path):
    image = Image.new("RGB", (60, 100), "white")
    image.paste("red", (18, 10, 42, 90))
    image.save(picture := tmp_path / "post.png")
    found = run_in_blender("on_a_server", script=PROBE, limit=380, connection=str(connection), picture=str(picture))
    assert found["there"]
    assert found["shown"], "a wireframe, on the way"
    assert found["told"] == ["finished", "post stands at the 3D cursor.", 0]
    triangles, colors, material = found["mesh"]
    assert triangles > 500
    assert (colors, material) == (1, "post")
    assert 2.5 < found["upright"] < 4.0
    assert found["same"]


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_a_picture_becomes_an_object_on_the_cursor(self, run_in_blender, photograph):
        found = run_in_blender("made", script=PROBE, photograph=photograph)
        assert not found["no picture"]
        assert found["sent"] == [0, "dmtet", "zero123", "", "mug (new shape)"]
        assert found["picture"] == [24, 16, "mug.jpg", 28.648]
        assert found["as it lies on the disk"], "its turn, depth and colors are the server's to read"
        assert found["wire"][:2] == [1.0, 2.0]
        assert found["made"][:3] == ["finished", "mug stands at the 3D cursor.", 0]
        assert found["material"] == 1
        assert found["same"]
        assert found["recent"] == [True, False]
        assert found["drawn"] == ["pgc.fetch_result"] * 2
        assert found["again"], "though nothing is selected"
        assert found["forgotten"], "by a Blender that did not ask for it, too"
        assert "select a mesh object" in found["a texture"]
        assert found["cancelled"] == ["cancelled", 0]
        assert found["failed"] == ["pgc.imagine_picture", True]
        assert found["still"]

    def test_what_travels_of_each_kind_of_picture(self, run_in_blender, photograph):
        found = run_in_blender("pictures", script=PROBE, photograph=photograph)
        assert found["packed"]
        assert found["painted"][0] == "png"
        assert found["painted"][3] == Path(photograph).name
        assert found["its pixels"] < 1 / 255
        assert (found["made"], found["foreign"]) == ("png", "png")
        assert found["header"]
        assert "8200 x 1 pixels; a server takes 8192" in found["large"]
        assert "no single picture" in found["gone"]

    def test_what_cannot_be_is_said_before_anything_is_sent(self, run_in_blender, photograph):
        found = run_in_blender("choices", script=PROBE, photograph=photograph)
        said, operator, options = found["missing"]
        assert "Zero123, which judges by a picture, is not ready" in said
        assert (operator, options) == ("pgc.copy_model_command", {"model": "zero123"})
        assert found["drawn"] == ["pgc.imagine", "pgc.imagine_picture"]
        assert found["offered"]
        assert found["sent"] == [1, "offsets", "pocket", "red bricks"]
        assert found["of"] == ["Blockout", False]
        assert found["beside"] == ["Blockout Refined stands beside Blockout, which is as it was.", True]
        assert not found["no mesh"]
        assert not found["no prompt"]
        for text in found["large"]:
            assert "8200 x 1 pixels" in text
        assert "make that smaller" in found["memory"]
        assert found["nothing more"]
