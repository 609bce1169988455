# SPDX-License-Identifier: Apache-2.0
"""Reports of evaluations as one HTML page, with nothing to fetch."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgc.whole_files import write_text

__all__ = ["confusion_table", "page", "settings_block", "table", "write_page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #8884; text-align: left; }
td.number { text-align: right; } td.right { background: #2a92; } td.wrong { background: #d332; }
img { max-width: 100%; height: auto; } pre { overflow-x: auto; }
"""


def _cell(value: object, kind: str = "") -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    name = f"{kind} number".strip() if number else kind
    return f'<td class="{name}">{html.escape(text)}</td>' if name else f"<td>{html.escape(text)}</td>"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a plain table. All text is escaped; floats are shown to three digits."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def confusion_table(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Returns a table whose rows are the truth and whose columns are the answers; the diagonal and what lies off it are
    tinted."""
    head = "".join(f"<th>{html.escape(label)}</th>" for label in ("", *labels))
    lines = []
    for at, (label, row) in enumerate(zip(labels, matrix, strict=True)):
        cells = "".join(
            _cell(count if count else "", "" if not count else ("right" if at == column else "wrong"))
            for column, count in enumerate(row)
        )
        lines.append(f"<tr><th>{html.escape(label)}</th>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def page(title: str, sections: Mapping[str, str]) -> str:
    """Returns a whole page: a heading a section, with the section's HTML under it."""
    body = "".join(f"<h2>{html.escape(name)}</h2>{content}" for name, content in sections.items())
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
        f"<h1>{name}</h1>{body}</html>\n"
    )


def write_page(path: Path, title: str, sections: Mapping[str, str]) -> None:
    """Writes `page` to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page(title, sections))


def settings_block(value: Mapping[str, Any]) -> str:
    """Returns settings as indented JSON."""
    import json

    return f"<pre>{html.escape(json.dumps(value, indent=1, sort_keys=True))}</pre>"
