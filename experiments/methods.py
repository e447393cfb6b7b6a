"""Methods as they are written in a plan: a name, and options after colons.

``cma:CMA_diagonal=True:popsize=32``. Values are Python literals, or bare words, which are texts, as
in ``sgd:schedule=warmup(5%)``. A chain joins methods by plus signs: ``cma:popsize=32+l-bfgs-b``.
Within quotes or brackets no sign parts anything: ``adam:schedule='warmup(5%) + cosine'``.
"""

import ast
import re
import warnings
from typing import Any

HIDDEN = "\0"
"""What stands in a shaded text for each sign that is hidden."""

START = "start"
"""Takes the place of a method: the start alone, evaluated once, which the others should beat."""


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options that a text names; whether they exist is not asked.

    The options of a chain are a mapping from each name to its options.

    Raises
    ------
    ValueError
        For an option that is not written ``name=value``, or given twice.

    Examples
    --------
    >>> parse_method("pso:swarmsize=40:updating=immediate")
    ('pso', {'swarmsize': 40, 'updating': 'immediate'})
    >>> parse_method("cma:popsize=32+l-bfgs-b")
    ('cma+l-bfgs-b', {'cma': {'popsize': 32}})
    """
    links = _links(text)
    if len(links) == 1:
        return _parse_one(text)
    parsed = [_parse_one(link) for link in links]
    named = {name: options for name, options in parsed if options}
    return "+".join(name for name, _ in parsed), named


def shaded(text: str) -> str:
    """Return a text as long, in which all that stands within quotes or brackets is hidden."""
    hidden, opened, i = list(text), list[int](), 0
    while i < len(text):
        begin = i
        if text[i] in "'\"" and (end := text.find(text[i], i + 1)) >= 0:
            i = end
        elif text[i] in "([{":
            opened.append(i)
        elif text[i] in ")]}" and opened:
            begin = opened.pop()
        hidden[begin + 1 : i] = HIDDEN * (i - begin - 1)
        i += 1
    return "".join(hidden)


def cut(pattern: str, text: str) -> list[str]:
    """Split a text where the pattern is found outside of quotes and brackets."""
    found = [match.span() for match in re.finditer(pattern, shaded(text))]
    begins, ends = [0, *(end for _, end in found)], [*(begin for begin, _ in found), len(text)]
    return [text[begin:end].strip() for begin, end in zip(begins, ends, strict=True)]


def _links(text: str) -> list[str]:
    """Split a chain; other plus signs belong to numbers."""
    return cut(r"\+(?!\s*[0-9.])", text)


def _parse_one(text: str) -> tuple[str, dict[str, Any]]:
    name, *parts = _split(text)
    if "=" in name or ":" in name:
        raise ValueError(
            f"{text!r} is no method: options follow its name after colons, as in "
            "cma:CMA_diagonal=True:popsize=32"
        )
    pairs = [[side.strip() for side in part.split("=", 1)] for part in parts]
    options = {key: _value(key, value) for key, value in pairs}
    if len(options) < len(pairs):
        raise ValueError(f"{text!r} gives an option twice")
    return name, options


def _split(text: str) -> list[str]:
    """Split before each ``:name=``; other colons belong to values."""
    return cut(r":(?=\s*\w+\s*=)", text)


def _value(option: str, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    if not re.fullmatch(rf"[A-Za-z_][\w-]*(\({HIDDEN}*\))?", shaded(text)):
        raise ValueError(
            f"{option}={text}: the value is neither a Python literal nor a word; put texts in "
            f"quotes, {option}='...'"
        )
    if text in ("true", "false", "none"):
        raise ValueError(f"{option}={text}: Python writes {text.capitalize()}")
    return text


def check_method(text: str) -> str:
    """Return a method's text with its name as the table has it.

    Raises
    ------
    ValueError
        For a method or an option that is not known, or a value that the method refuses.
    """
    links = _links(text)
    if len(links) > 1:
        checked = _check_links(text, links)
        for whole in ("auto", START):
            if whole in checked:
                raise ValueError(f"{text!r}: {whole!r} is no part of a chain; name a method")
        names = [name for name, _ in map(_parse_one, links)]
        if len(set(names)) < len(names):
            raise ValueError(f"{text!r}: a chain names each method once")
        return "+".join(checked)
    return _check_one(text)


def _check_links(text: str, links: list[str]) -> list[str]:
    try:
        return [_check_one(link, ("share",)) for link in links]
    except ValueError as error:
        if "schedule=" not in shaded(text):
            raise
        raise ValueError(
            f"{error}. In {text!r} a plus joins methods: a schedule of several parts stands in "
            "quotes, schedule='warmup(5%) + cosine'"
        ) from error


def _check_one(text: str, besides: tuple[str, ...] = ()) -> str:
    from scipy.optimize import OptimizeWarning

    from blackbox.algorithms import find
    from blackbox.composing.assembling import split_options

    name, options = _parse_one(text)
    options = {key: value for key, value in options.items() if key not in besides}
    if name in ("auto", START):
        if options:
            raise ValueError(f"{name!r} takes no options; got {text!r}")
        return name
    row = find(name)
    if "schedule" in options and "schedule" not in row.options():
        raise ValueError(
            f"{text}: {row.name!r} has no learning rate that a schedule could change; methods of "
            "gradient descent have, such as adam and sgd"
        )
    if options:
        try:
            with warnings.catch_warnings():  # some methods only warn of unknown options
                warnings.simplefilter("error", OptimizeWarning)
                row.make(split_options(row, options)[1])
        except (TypeError, OptimizeWarning) as error:
            raise ValueError(f"{text}: {error}") from error
    return ":".join([row.name, *_split(text)[1:]])


def label(text: str) -> tuple[str, str]:
    """Return a method for people: its name, and its options."""
    name, options = parse_method(text)
    return name, "; ".join(
        f"{option} {_listed(value)}" for option, value in options.items()
    ) if "+" in name else _listed(options)


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{option}={value}" for option, value in options.items())
