"""The page's sections as HTML that reads well without any script. Every text is escaped."""

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence

from experiments.page.content import (
    Chart,
    DataColumn,
    DataTable,
    Drawing,
    MethodInfo,
    PageContent,
    Shown,
    StaticFigure,
    TableCell,
    Wins,
)
from experiments.page.diagram import critical_difference
from experiments.page.numbers import readable

Index = Mapping[str, int]


def sections(content: PageContent) -> str:
    """Return the page's body, and with it the order of things."""
    methods = {method.text: i for i, method in enumerate(content.methods)}
    parts = [("", _header(content))]
    charts = [(chart.title, _chart(chart, i)) for i, chart in enumerate(content.charts)]
    tables = [(table.title, _table(table, content.methods)) for table in content.tables]
    drawings = [(drawing.title, _drawing(drawing)) for drawing in content.drawings]
    parts += charts[:1] + drawings + tables
    if content.ranks is not None:
        drawn = critical_difference(content.ranks, content.methods)
        made = _made(content.ranks.command)
        note = _paragraph(content.ranks.note, "note")
        parts.append(("Ranks", f"<h2>Ranks</h2>{note}<figure class=scroll>{drawn}</figure>{made}"))
    if content.wins is not None:
        parts.append(("Wins", _wins(content.wins, methods, content.methods)))
    parts += charts[1:]
    if content.figures:
        shown = "".join(map(_figure, content.figures))
        parts.append(("Figures", f"<h2>Figures</h2><div class=figures>{shown}</div>"))
    if content.failures is not None:
        parts.append((content.failures.title, _table(content.failures, content.methods)))
    parts.append(("How it was made", _colophon(content)))
    names = [(f"part-{i}", name) for i, (name, _) in enumerate(parts) if name]
    links = "".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for anchor, name in names)
    (_, head), *rest = parts
    body = "\n".join(
        f'<section id="{anchor}">{part}</section>'
        for (anchor, _), (_, part) in zip(names, rest, strict=True)
    )
    return f"{head}\n<nav aria-label=Sections>{links}</nav>\n<main>\n{body}\n</main>"


def _header(content: PageContent) -> str:
    facts = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in content.facts
    )
    listed = f"<dl class=facts>{facts}</dl>" if facts else ""
    verdict = _paragraph(content.verdict, "verdict")
    return f"<header><h1>{html.escape(content.title)}</h1>{verdict}{listed}</header>"


def _chart(chart: Chart, i: int) -> str:
    title = html.escape(chart.title)
    return (
        f"<h2>{title}</h2>{_paragraph(chart.note, 'note')}"
        f'<div class=chart data-chart="{i}" role=group aria-label="{title}"></div>'
        "<noscript><p class=note>This chart needs JavaScript; the tables do not.</p></noscript>"
        f"{_made(chart.command)}"
    )


def _drawing(drawing: Drawing) -> str:
    note = _paragraph(drawing.note, "note")
    return f"<h2>{html.escape(drawing.title)}</h2>{note}<figure class=scroll>{drawing.svg}</figure>"


def _table(table: DataTable, methods: Sequence[MethodInfo]) -> str:
    index = {method.text: i for i, method in enumerate(methods)}
    best = _best(table)
    head = "".join(
        f'<th scope=col data-kind="{column.kind}">{html.escape(column.title)}</th>'
        for column in table.columns
    )
    body = []
    for r, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            raise ValueError(
                f"row {r} of the table {table.title!r} has {len(row)} cells "
                f"for {len(table.columns)} columns"
            )
        cells = [
            _cell(column, cell, (r, c) in best, index, methods)
            for c, (column, cell) in enumerate(zip(table.columns, row, strict=True))
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    title = html.escape(table.title)
    rows = "\n".join(body)
    return (
        f"<h2>{title}</h2>{_paragraph(table.note, 'note')}<div class=table>"
        f"<div class=scroll><table><caption>{title}</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></div>"
        f"{_made(table.command)}"
    )


def _cell(
    column: DataColumn, cell: TableCell, best: bool, index: Index, methods: Sequence[MethodInfo]
) -> str:
    if column.kind == "number":
        shown, value = _number(cell)
        if best:
            shown = f"<b>{shown}</b>"
        return f'<td class=number data-value="{value}">{shown}</td>'
    text = "" if cell is None else str(cell)
    escaped = html.escape(text)
    if column.kind == "method" and text in index:
        return f"<th scope=row>{swatch(methods, index[text])}</th>"
    kind = ' data-panel=""' if column.kind == "panel" else ""
    return f"<td{kind} class=text><span class=label>{escaped}</span></td>"


def swatch(methods: Sequence[MethodInfo], i: int) -> str:
    """Return a method's name beside a piece of its line."""
    dash = " ".join(f"{length:g}" for length in methods[i].dash)
    return (
        f'<span class=method data-method="{i}"><svg class=swatch viewBox="0 0 26 10" '
        f'aria-hidden=true><path d="M1 5H25" stroke="var(--m{i})" stroke-dasharray="{dash}"/></svg>'
        f"<span class=label>{html.escape(methods[i].label).replace('_', '_<wbr>')}</span></span>"
    )


def _number(cell: TableCell) -> tuple[str, str]:
    """What is shown, and what is sorted by: empty for what is missing."""
    if isinstance(cell, Shown):
        return html.escape(cell.text), _sorted_by(cell.value)
    if cell is None or isinstance(cell, str):
        return html.escape(cell or "–"), ""
    return readable(cell), _sorted_by(cell)


def _sorted_by(value: float) -> str:
    if math.isnan(value):
        return ""
    return "Infinity" if math.isinf(value) else f"{value!r}"


def _best(table: DataTable) -> set[tuple[int, int]]:
    """Row and column of the best numbers, ties included, where more than one competes."""
    titles = [column.title for column in table.columns]
    within = titles.index(table.within) if table.within else None
    found: set[tuple[int, int]] = set()
    for c, column in enumerate(table.columns):
        if not column.best:
            continue
        blocks: dict[object, list[tuple[float, int]]] = {}
        for r, row in enumerate(table.rows):
            cell = row[c]
            value = cell.value if isinstance(cell, Shown) else cell
            if isinstance(value, (int, float)) and not math.isnan(value):
                blocks.setdefault(None if within is None else row[within], []).append((value, r))
        for block in blocks.values():
            least = min(block)[0] if column.best == "low" else max(block)[0]
            if len(block) > 1 and math.isfinite(least):
                found |= {(r, c) for value, r in block if value == least}
    return found


def _wins(wins: Wins, index: Index, methods: Sequence[MethodInfo]) -> str:
    shown = [swatch(methods, index[text]) for text in wins.methods]
    head = "".join(f"<th scope=col><span class=turned>{name}</span></th>" for name in shown)
    rows = []
    for i, name in enumerate(shown):
        shares = [float(share) for share in wins.shares[i]]
        cells = "".join(_share(share, i == j) for j, share in enumerate(shares))
        rows.append(f"<tr><th scope=row>{name}</th>{cells}</tr>")
    return (
        f"<h2>Wins</h2>{_paragraph(wins.note, 'note')}<div class=scroll><table class=wins>"
        "<caption>How often, in percent, the method of the row ends better than that of the "
        f"column</caption><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        f"</table></div>{_made(wins.command)}"
    )


def _share(share: float, diagonal: bool) -> str:
    if diagonal or math.isnan(share):
        return "<td>–</td>" if not diagonal else "<td></td>"
    kind = "win" if share > 0.5 else "loss"
    depth = abs(share - 0.5) * 2
    return f'<td class={kind} style="--depth:{depth:.2f}">{100 * share:.0f}</td>'


def _figure(figure: StaticFigure) -> str:
    data = base64.b64encode(figure.svg.encode("utf-8", "replace")).decode()
    title = html.escape(figure.title)
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{title}">'
        f"<figcaption>{title}</figcaption>{_made(figure.command)}</figure>"
    )


def _colophon(content: PageContent) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in content.notes)
    versions = _listing("Versions", content.versions.items())
    machine = _listing("Machine", ((k, v) for k, v in content.machine.items() if v))
    command = f"<pre><code>{html.escape(content.command)}</code></pre>" if content.command else ""
    return (
        "<h2>How it was made</h2>"
        f"{command}{f'<ul>{notes}</ul>' if notes else ''}"
        f"<div class=made-with>{versions}{machine}</div>"
    )


def _listing(title: str, items: Iterable[tuple[str, object]]) -> str:
    rows = "".join(
        f"<div><dt>{html.escape(str(name))}</dt><dd>{html.escape(str(value))}</dd></div>"
        for name, value in items
    )
    return f"<div><h3>{title}</h3><dl>{rows}</dl></div>" if rows else ""


def _made(command: str) -> str:
    if not command:
        return ""
    return (
        "<details class=made><summary>How was this made?</summary>"
        f"<pre><code>{html.escape(command)}</code></pre></details>"
    )


def _paragraph(text: str, kind: str) -> str:
    return f"<p class={kind}>{html.escape(text)}</p>" if text else ""
