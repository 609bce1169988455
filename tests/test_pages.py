# SPDX-License-Identifier: Apache-2.0
"""The repository's pages: what they link to exists, and the first page stays short."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\((?!https?://|#|mailto:)(?P<target>[^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    """Returns the Markdown files that git knows; without git, those of the top level and of the packages."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    return [ROOT / name for name in listed] or sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[a-z]*/**/*.md"))


def broken_links(page: Path) -> list[str]:
    """Returns the relative links of a page that lead to no file."""
    text = page.read_text(encoding="utf-8")
    return [match["target"] for match in LINK.finditer(text) if not (page.parent / match["target"]).exists()]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#part) ![gone](images/gone.webp) [far](https://example.org/x)", encoding="utf-8")
    assert broken_links(page) == ["images/gone.webp"]


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8 * 1024
