"""The members that each family has by default, for tests that run over all of them."""

import pytest

from experiments.problems import FAMILIES, expand


def members():
    """A parameter a problem; families whose package is missing are skipped, and say so."""
    rows = []
    for family in FAMILIES.values():
        try:
            rows += [problem.name for problem in expand(family.name)]
        except ValueError as missing:
            rows.append(pytest.param(family.name, marks=pytest.mark.skip(reason=str(missing))))
    return rows
