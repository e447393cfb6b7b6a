"""What the pages show of the library is read from the library while the site is built.

A marker, ``<!-- facts -->``, stands where something is filled in; see `MARKERS`.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from meanings import MEANINGS
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from blackbox import ALGORITHMS, Method
from blackbox.composing.assembling import Common
from blackbox.recommend import RULES, recommend

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = (".py", ".toml", ".csv", ".json")
"""Files of the examples of tuning, which their page links to."""
KINDS = {"local": "Local", "global": "Global", "baseline": "Baselines"}
WORDS = {
    "constraints": {
        "native": "its own way",
        "lagrangian": "an augmented Lagrangian around it",
        "penalty": "feasible points rank first",
    },
    "integers": {
        "native": "its own way",
        "rounded": "points are rounded before they are evaluated",
        "refused": "refused: it walks on slopes",
    },
    "noise": {
        "handled": "measured and answered",
        "tolerated": "tolerated: many points average it",
        "exact": "every value is taken for exact",
    },
    "bounds": {
        "required": "finite ones for every variable needed; always kept",
        "strict": "optional; always kept",
    },
    "start": {"used": "begins at x0", "seeded": "x0 joins what is drawn"},
    "past": {
        "learnt": "its first distribution or population comes from the points",
        "start": "begins at the best point",
        "best": "only compares with the best point",
    },
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a page for each method into the navigation."""
    for entry in config.nav or []:
        if "Methods" in entry:
            entry["Methods"] = ["methods/index.md", *_navigation()]
    return config


def _navigation() -> list[dict[str, list[dict[str, str]]]]:
    return [
        {title: [{r.name: f"methods/{r.name}.md"} for r in ALGORITHMS.values() if r.kind == kind]}
        for kind, title in KINDS.items()
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference results and the changelog, and leave out what is no page."""
    folder = ROOT / "results"
    results = [p for kind in ("md", "png", "html") for p in folder.rglob(f"*.{kind}")]
    results += [p for p in (folder / "tuning").rglob("*") if p.suffix in EXAMPLES]
    kept = [p for p in sorted(results) if "run" not in p.parts]  # those are stores of a machine
    for path in (ROOT / "CHANGELOG.md", *kept):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return Files([f for f in files if not _is_code_of_the_site(f.src_uri)])


def _is_code_of_the_site(path: str) -> bool:
    return path.endswith((".py", ".pyc")) and not path.startswith("results/")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the markers, and lead links out of ``docs/`` to where the site has the files."""
    depth = page.file.src_uri.count("/")
    if not page.file.src_uri.startswith("results/"):
        inside = "../" * depth
        markdown = markdown.replace(f"]({inside}../README.md", f"]({inside}index.md")
        markdown = markdown.replace(f"]({inside}../", f"]({inside}")
    name = Path(page.file.src_uri).stem
    for marker, fill in MARKERS.items():
        if f"<!-- {marker} -->" in markdown:
            markdown = markdown.replace(f"<!-- {marker} -->", fill(name))
    return markdown


def summary(name: str) -> str:
    """One sentence."""
    return f"**{ALGORITHMS[name].summary}.**"


def facts(name: str) -> str:
    """What the table knows of a method."""
    return _table(("", ""), _facts(ALGORITHMS[name]))


def _facts(row: Method) -> Iterable[tuple[str, str]]:
    yield "searches", {"local": "locally", "global": "globally"}.get(row.kind, "as a baseline")
    extra = f" (an extra: `pip install {row.requires}`)" if row.requires else ""
    yield "library", row.library + extra
    yield (
        "gradients",
        "never used" if row.gradients == "none" else ("the objective's, else finite differences"),
    )
    if row.hessian:
        yield "Hessian", "used where given"
    yield "a batch is", row.batch
    for field in ("bounds", "start", "past", "constraints", "integers", "noise"):
        name = "`warm_start`" if field == "past" else field
        yield name, WORDS[field][getattr(row, field)]
    if row.many_starts:
        yield "several starts", "all of them are evaluated"
    yield (
        "failures",
        "a quarter at random is survived"
        if row.tolerates_failures
        else ("a failing region is survived, failures at random may end it"),
    )
    yield "minibatches", "yes" if row.changing else "refused: it compares values between batches"
    yield (
        "`steady=True`",
        "yes: values are told as they come" if row.steady else "refused: it needs whole batches",
    )
    yield "memory", row.memory
    yield "seed", "matters" if row.random else "does not matter"
    if row.tolerance_options:
        yield "`tol` sets", ", ".join(f"`{name}`" for name in row.tolerance_options)
    if row.default_budget:
        yield "without a budget", f"ends after {row.default_budget:,} evaluations"
    if row.exclusive:
        yield "several at once", "one open run in a process"
    if row.paper:
        yield "paper", row.paper


def options(name: str) -> str:
    """The options of a method, its defaults, and what they mean."""
    row = ALGORITHMS[name]
    if not row.options():
        return "None of its own."
    said = {
        option: MEANINGS.get(f"{name}.{option}", MEANINGS.get(option)) for option in row.options()
    }
    meanings = {option: text for option, text in said.items() if text} | described(row.load())
    lines = [
        (f"`{option}`", f"`{shown(default)}`", meanings.get(option, f"as in `{row.library}`"))
        for option, default in row.options().items()
    ]
    return _table(("option", "default", "meaning"), lines)


def common(name: str) -> str:
    """The options that all methods have."""
    meanings = described(Common)
    return _table(("option", "meaning"), [(f"`{k}`", v) for k, v in meanings.items()])


def shown(default: Any) -> str:
    """A default as one would write it."""
    return getattr(default, "__name__", None) or repr(default)


def described(kind: Any) -> dict[str, str]:
    """What a docstring says of attributes or parameters; a class's own over what it inherits."""
    found: dict[str, str] = {}
    for source in reversed(getattr(kind, "__mro__", (kind,))):
        text = inspect.cleandoc(source.__doc__ or "")
        section = re.search(
            r"^(?:Attributes|Parameters)\n-+\n(.*?)(?=^\w+\n-+$|\Z)", text, re.M | re.S
        )
        entries = re.findall(
            r"^(\w[^\n]*)\n((?:\n*    [^\n]*)+)", section[1] if section else "", re.M
        )
        for names, said in entries:
            meaning = re.sub(r"``?([^`]+)``?", r"`\1`", " ".join(said.split()))
            found |= dict.fromkeys(re.findall(r"\w+", names), meaning)
    return found


def questions(name: str) -> str:
    """What `recommend` asks."""
    defaults = inspect.signature(recommend).parameters
    lines = [
        (
            f"`{k}`",
            "" if defaults[k].default is defaults[k].empty else f"`{defaults[k].default!r}`",
            v,
        )
        for k, v in described(recommend).items()
    ]
    return _table(("", "unsaid", ""), lines)


def overview(name: str) -> str:
    """All methods, by kind."""
    parts = []
    for kind, title in KINDS.items():
        rows = [row for row in ALGORITHMS.values() if row.kind == kind]
        lines = [
            (
                f"[`{row.name}`]({row.name}.md)<br>{row.summary}",
                "yes" if row.gradients == "optional" else "",
                "needed" if row.bounds == "required" else "",
                row.constraints,
                row.integers,
                row.noise,
                "yes" if row.changing else "",
                "yes" if row.steady else "",
            )
            for row in rows
        ]
        header = (
            "method",
            "gradients",
            "bounds",
            "constraints",
            "integers",
            "noise",
            "minibatches",
            "steady",
        )
        parts.append(f"## {title}\n\n{_table(header, lines)}")
    return "\n\n".join(parts)


def rules(name: str) -> str:
    """The rules of `recommend`."""
    lines = []
    for number, rule in enumerate(RULES, 1):
        own = rule.options if len(rule.methods) > 1 else {rule.methods[0]: rule.options}
        links = ", then ".join(
            f"[`{name}`](methods/{name}.md)"
            + "".join(f" `{k}={v}`" for k, v in own.get(name, {}).items())
            for name in rule.methods
        )
        lines.append((str(number), str(rule.when), links, rule.reason, rule.source))
    return _table(("", "if", "method", "why", "source"), lines)


MARKERS: dict[str, Callable[[str], str]] = {
    "summary": summary,
    "facts": facts,
    "options": options,
    "common": common,
    "methods": overview,
    "questions": questions,
    "rules": rules,
}


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )
