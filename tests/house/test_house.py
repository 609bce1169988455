# SPDX-License-Identifier: Apache-2.0
"""The drawing of the house, on small trees whose rooms and arrows are known."""

import pytest

from tests.house.__main__ import drawing, figures, house_of_repository, main, table
from tests.house.imports import read_imports
from tests.house.rooms import houses


def tree(root, files):
    """Write a package and read its imports."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return read_imports(root, ["app"])


STRAIGHT = {
    "app/__init__.py": "",
    "app/base.py": "import json\n",
    "app/low/__init__.py": "from app.low.part import thing\n",
    "app/low/part.py": "from ..base import x\n",
    "app/top.py": "def late():\n    from app.low import thing\n    import app.base\n",
}
CIRCLE = {**STRAIGHT, "app/base.py": "from .top import late\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import app.low.part", ("app", "low", "part")),
        ("import app.low as low", ("app", "low", "__init__")),
        ("from app import low", ("app", "low", "__init__")),
        ("from app.low import part", ("app", "low", "part")),
        ("from app.low import thing", ("app", "low", "__init__")),
        ("from .low.part import thing", ("app", "low", "part")),
        ("from . import base", ("app", "base")),
        ("if TYPE_CHECKING:\n    from app.base import x", ("app", "base")),
    ],
)
def test_an_import_is_found_however_it_is_written(tmp_path, text, expected):
    imports = tree(tmp_path, {**STRAIGHT, "app/top.py": text + "\n"})
    assert imports["app", "top"] == {expected}


@pytest.mark.parametrize("text", ["import json", "from app import absent_name as base2", "'from app.base import x'"])
def test_what_is_no_import_of_the_tree_is_no_arrow(tmp_path, text):
    imports = tree(tmp_path, {**STRAIGHT, "app/top.py": text + "\n"})
    assert imports["app", "top"] <= {("app", "__init__")}


def test_rooms_stand_above_what_they_import(tmp_path):
    house = houses(tree(tmp_path, STRAIGHT))["app",]
    assert house.files == {"__init__": 1, "base": 1, "low/": 2, "top": 1}
    assert house.arrows == [("low/", "base"), ("top", "base"), ("top", "low/")]
    assert house.floors == {"__init__": 1, "base": 1, "low/": 2, "top": 3}
    assert figures(house) == {"rooms": 4, "floors": 3, "arrows": 3, "upward": 0, "circles": 0, "side by side": 2}


def test_a_circle_between_rooms_is_found_with_its_arrow_upward(tmp_path):
    house = houses(tree(tmp_path, CIRCLE))["app",]
    assert house.circles == [["base", "low/", "top"]]
    assert house.upward == [("base", "top")]
    assert "circle: base ⇄ low/ ⇄ top" in list(drawing(house))


def test_files_without_a_circle_may_make_one_of_folders(tmp_path):
    files = {"app/a/one.py": "", "app/a/two.py": "import app.b.x\n", "app/b/x.py": "import app.a.one\n"}
    every = houses(tree(tmp_path, files))
    assert every["app",].circles == [["a/", "b/"]]
    assert not every["app", "a"].circles
    assert len(every["app",].upward) == 1


def test_the_table_sums_up_every_folder(tmp_path):
    assert list(table(houses(tree(tmp_path, CIRCLE))))[-1] == "3 folders, 1 arrows upward, 1 circles"


@pytest.mark.slow
def test_the_command_draws_this_repository(capsys):
    assert main([]) == 0
    whole = capsys.readouterr().out
    assert "pgc/texture/" in whole
    assert "blender_addon/ (" in whole
    assert main(["pgc/texture", "tests/house"]) == 0
    assert "texel_pyramid" in capsys.readouterr().out
    assert main(["--json"]) == 0
    assert '"pgc/texture/"' in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_names_a_folder_that_is_none(capsys):
    assert main(["pgc/nowhere"]) == 2
    assert "pgc/nowhere/ holds no Python file; name a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_packages_import_each_other_one_way():
    house = house_of_repository()[()]
    assert not house.circles
    assert not house.upward
