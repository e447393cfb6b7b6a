"""Journals of `minimize` that an `Optimizer` is to go on with: which can't be."""

import pytest

from blackbox import JournalError, Optimizer, minimize
from tests.blackbox.conftest import shifted_sphere
from tests.blackbox.test_journal_kinds import Minibatches, Pointwise


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"jac": lambda x: 2 * (x - 0.7)}, "jac, which is asked apart"),
        ({"jac": "3-point"}, "the finite difference of jac"),
        ({"tol": 1e-3}, "what tol= set"),
        ({"validation": shifted_sphere, "validate_every": 1}, "validation="),
        ({"validation": shifted_sphere, "patience": 9}, "validation="),
    ],
)
def test_what_an_optimizer_can_not_go_on_with_is_named(path, settings, words):
    fun, method = Pointwise(), "l-bfgs-b"
    minimize(fun, [3.0, 3.0], method=method, budget=40, seed=1, journal=path, **settings)
    with pytest.raises(JournalError, match="where `minimize` wrote it, call that again") as caught:
        Optimizer.restore(path)
    assert words in str(caught.value)


def test_losses_that_an_optimizer_never_asks_are_named(path):
    class Validated(Minibatches):
        begin = None
        shift = 0.7
        has_validation = True

        def validate(self, points):
            return self(points)

    options = {"schedule": "adaptive(every=1)", "lr": 0.1}
    settings = {"method": "adam", "budget": 60, "seed": 1, "options": options}
    minimize(Validated(), [3.0, 3.0], journal=path, **settings)
    with pytest.raises(JournalError, match=r"evaluated more than an Optimizer asks \('validation"):
        Optimizer.restore(path)
