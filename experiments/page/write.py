"""The page as one file, which asks for nothing from outside and runs no script but its own."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from experiments.page.content import MethodInfo, PageContent
from experiments.page.embed import page_data, to_script
from experiments.page.sections import sections
from experiments.report import write

SCRIPTS = ("scales.js", "lines.js", "chart.js", "gestures.js", "table.js", "page.js")
DARK = (0x15, 0x18, 0x1C)
"""The background of a dark page, as page.css has it."""
CONTRAST = 4.0
"""At least so much stands a line out from a dark page (WCAG 2.2 asks for 3)."""


def write_page(path: Path, content: PageContent) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path
        The file; its folder exists.
    content
        What is shown.

    Raises
    ------
    ValueError
        For a line of an unknown method, or a row of a table that does not fit its columns.
    """
    write(path, render(content))


def render(content: PageContent) -> str:
    """Return the page as HTML text."""
    script = '(() => {\n"use strict";\n' + "\n".join(map(_part, SCRIPTS)) + "\n})();"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = {
        "digest": digest,
        "title": html.escape(content.title),
        "style": _part("page.css") + _colours(content.methods),
        "body": sections(content),
        "data": to_script(page_data(content.methods, content.charts)),
        "script": script,
    }
    # In one pass: a label may look like a gap of the template.
    text = re.sub(r"\{\{(\w+)\}\}", lambda gap: filled[gap[1]], _part("template.html"))
    return text.encode("utf-8", "replace").decode()  # a lone surrogate can't be written


def lightened(colour: str) -> str:
    """Return a colour, mixed with as little white as makes it readable on a dark page."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    for share in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        mixed = tuple(round(part + (255 - part) * share) for part in (red, green, blue))
        if contrast(mixed, DARK) >= CONTRAST:
            break
    return "#" + "".join(f"{part:02x}" for part in mixed)


def contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """Return the ratio of two colours' luminances, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Sequence[int]) -> float:
    shares = (part / 255 for part in colour)
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _colours(methods: Sequence[MethodInfo]) -> str:
    light = "".join(f"--m{i}:{method.colour};" for i, method in enumerate(methods))
    dark = "".join(f"--m{i}:{lightened(method.colour)};" for i, method in enumerate(methods))
    return (
        f"\n:root {{{light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{{dark}}} }}\n"
    )


def _part(name: str) -> str:
    return files("experiments.page").joinpath(name).read_text(encoding="utf-8")
