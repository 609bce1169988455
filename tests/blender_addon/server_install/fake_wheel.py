# SPDX-License-Identifier: Apache-2.0
"""A wheel that pip installs like the server's, in a few hundred bytes."""

import zipfile

MAIN = """
import pathlib, sys
if sys.argv[1:2] == ["stop"]:
    pathlib.Path(__file__).with_name("stopped").write_text("yes")
    print("No server is running here.")
elif sys.argv[1:2] == ["fail"]:
    sys.exit("It fails")
elif sys.argv[1:2] == ["sleep"]:
    import time; time.sleep(60)
else:
    print("Usage: pgc-server")
"""


def fake_wheel(folder, version="0.1.0", main=MAIN):
    """Write pgc_texture-VERSION-py3-none-any.whl into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pgc_texture-{version}-py3-none-any.whl"
    info = f"pgc_texture-{version}.dist-info"
    entries = {
        "server/__init__.py": "",
        "server/__main__.py": main,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: pgc-texture\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*entries, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**entries, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path
