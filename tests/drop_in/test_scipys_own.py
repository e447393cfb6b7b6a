"""scipy's own tests of `scipy.optimize.minimize`, with ours in its place. Minutes."""

import pytest

from experiments.drop_in import DIFFERENCES, MODULES, read, run


@pytest.mark.slow
def test_scipys_own_tests_pass():
    found = run()
    assert not found.failing
    assert not found.stale
    assert found.passed > 800
    assert len(found.differing) < 0.03 * found.passed


def test_a_small_module_passes():
    found = run(("test_lbfgsb_hessinv",))
    assert found.fits
    assert found.passed >= 2


def test_how_tests_ended_is_sorted():
    ended = {
        "a": {"outcome": "passed", "error": ""},
        "b": {"outcome": "expected failure", "error": ""},
        "c": {"outcome": "skipped", "error": ""},
        "d": {"outcome": "failed", "error": "wrong"},
        "e": {"outcome": "failed", "error": "wrong on purpose"},
    }
    found = read(ended, {"e": "why", "f": "no longer so"})
    assert (found.passed, found.skipped) == (2, 1)
    assert found.failing == {"d": "wrong"}
    assert found.differing == {"e": "why"}
    assert found.stale == ("f",)
    assert not found.fits


def test_every_difference_has_a_reason_and_names_a_module_that_is_run():
    for name, reason in DIFFERENCES.items():
        assert name.split("::")[0] in MODULES
        assert len(reason) > 10
