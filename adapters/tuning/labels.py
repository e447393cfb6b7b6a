"""Options that a database can't hold, a tuple or a function say, by labels that it can."""

from collections.abc import Mapping
from typing import Any

from adapters.space import Bool, Choice, Parameter, Space
from adapters.space.parameter import same

PLAIN = (str, int, float, bool, type(None))


class Labelled:
    """A space in which every option is a string, a number or None, and the way back.

    Parameters
    ----------
    space
        The user's.

    Attributes
    ----------
    original
        The user's space.
    space
        As Optuna is to see it: the same where all options are plain.
    """

    def __init__(self, space: Space) -> None:
        self.original = space
        self._labels = {
            name: _make_labels(parameter.options)
            for name, parameter in space.parameters.items()
            if isinstance(parameter, Choice)
            and not all(isinstance(option, PLAIN) for option in parameter.options)
        }
        self.space = space
        if self._labels:
            self.space = Space({name: self._relabel(name) for name in space})

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Return what an Optuna trial is to train with, in the user's own options."""
        params = self.space.suggest(trial)
        for name in self._labels.keys() & params.keys():
            choice = self.original[name]
            assert isinstance(choice, Choice)
            params[name] = choice.options[self._labels[name].index(params[name])]
        return params

    def _relabel(self, name: str) -> Parameter:
        parameter = self.original[name]
        when = {
            other: self._relabel_wanted(other, wanted)
            for other, wanted in (parameter.when or {}).items()
        }
        if name in self._labels:
            assert isinstance(parameter, Choice)
            return Choice(*self._labels[name], ordered=parameter.ordered, when=when or None)
        if not when:
            return parameter
        if isinstance(parameter, Choice) and not isinstance(parameter, Bool):
            return Choice(*parameter.options, ordered=parameter.ordered, when=when)
        if isinstance(parameter, Bool):
            return Bool(when=when)
        import dataclasses

        return dataclasses.replace(parameter, when=when)  # type: ignore[type-var]

    def _relabel_wanted(self, name: str, wanted: Any) -> Any:
        if name not in self._labels:
            return wanted
        choice, labels = self.original[name], self._labels[name]
        assert isinstance(choice, Choice)

        def label(value: Any) -> str | None:
            places = [i for i, option in enumerate(choice.options) if same(option, value)]
            return labels[places[0]] if places else None

        whole = label(wanted)
        return tuple(label(each) for each in wanted) if whole is None else whole


def _make_labels(options: tuple[Any, ...]) -> list[str]:
    """Return a text for each option, no two alike."""
    texts = [_text(option) for option in options]
    return [
        text if texts.count(text) == 1 else f"{text} #{place}" for place, text in enumerate(texts)
    ]


def _text(option: Any) -> str:
    name = getattr(option, "__qualname__", None)
    return name if isinstance(name, str) else repr(option)


def restore(space: Labelled, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a finished trial in the user's own options."""
    return space.suggest(_Past(params))


class _Past:
    """A finished trial that is asked again what it was asked before."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def _recall(self, name: str, *_: Any, **__: Any) -> Any:
        return self._params[name]

    suggest_float = suggest_int = suggest_categorical = _recall


BEFORE, AFTER = ("number", "value", "state"), ("steps", "seconds", "reason")
"""The columns of a table of trials, before and after the parameters."""


def column_of(name: str) -> str:
    """Return the column of a table of trials that a parameter has."""
    return f"params_{name}" if name in (*BEFORE, *AFTER) else name
