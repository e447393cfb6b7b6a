"""Schedules that make no sense are refused, in clear words, before anything runs."""

import subprocess
import sys

import pytest
import torch
from torch.optim import lr_scheduler as torchs

from blackbox import minimize


def untouched(x):
    raise AssertionError("was evaluated")


def slope(x):
    return 2 * x


def of_another(optimizer):
    return torchs.ExponentialLR(torch.optim.SGD([torch.zeros(1)], lr=1.0), 0.9)


REFUSED = {
    "cosin": r"no schedule 'cosin' \(did you mean 'cosine'.*there are: constant",
    "": "'' is no phase",
    "cosine +": "'' is no phase",
    "cosine(": "is no phase",
    "cosine + linear": r"needs a length.*cosine\(30%\)",
    "plateau + cosine": "'plateau' has no end",
    "adaptive + cosine": "'adaptive' has no end",
    "warmup + one-cycle": "stands alone",
    "warmup(60%) + constant(50%) + cosine": "take 110% of the run",
    "warmup(100%) + cosine": "take 100% of the run",
    "warmup(0)": "a whole number of steps from 1",
    "warmup(0%)": "above 0% to 100%",
    "warmup(-5%) + cosine": "length",
    "warmup(120%)": "to 100%",
    "warmup(2.5)": "whole number of steps",
    "warmup(5, 6)": "one length comes first",
    "plateau(10)": "'plateau' has no length",
    "cosine(etamin=0)": r"no argument 'etamin' \(did you mean 'eta_min'",
    "cosine(eta_min=-1)": "a number from 0; got '-1'",
    "cosine(eta_min=high)": "eta_min of 'cosine' is a number",
    "cosine(eta_min=0, eta_min=1)": "given twice",
    "exponential(gamma=0)": "a number above 0",
    "exponential(gamma=1e999)": "gamma of 'exponential'",
    "step(step_size=5, milestones=[3])": "not both",
    "step(milestones=[])": "a list",
    "plateau(factor=1)": "below 1",
    "plateau(patience=2.5)": "a whole number",
    "one-cycle(anneal_strategy=square)": "cos or linear",
    "one-cycle(three_phase=1)": "True or False",
    "adaptive(reductions=0)": "a whole number from 1",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_is_none_is_refused_before_anything_runs(text):
    with pytest.raises(ValueError, match="schedule=") as refusal:
        minimize(untouched, [0.0], method="adam", options={"schedule": text}, budget=50)
    assert refusal.match(REFUSED[text])


@pytest.mark.parametrize(
    ("schedule", "kind", "message"),
    [
        (0.5, TypeError, "schedule is a text such as"),
        (["cosine", "linear"], TypeError, "schedule is a text such as"),
        (lambda optimizer: None, TypeError, "must return a scheduler of the optimizer"),
        (of_another, TypeError, "of the optimizer that it is given"),
        ("warmup(40) + constant(20)", ValueError, "take 60 steps, and the run has 50"),
        ("one-cycle(pct_start=0.02)", ValueError, "torch says"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_anything_runs(schedule, kind, message):
    with pytest.raises(kind, match=message):
        minimize(
            untouched, [0.0], jac=slope, method="sgd", options={"schedule": schedule}, budget=50
        )


def test_a_text_is_refused_without_torch():
    code = (
        "import sys\nfrom blackbox import minimize\n"
        "try:\n    minimize(sum, [0.0], method='adam', options={'schedule': 'cosin'})\n"
        "except ValueError as refusal:\n    print('cosine' in str(refusal), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr
