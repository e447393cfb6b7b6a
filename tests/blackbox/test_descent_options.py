"""What gradient methods refuse, and the row for any other optimizer."""

import numpy as np
import pytest
import torch

from blackbox import ALGORITHMS, minimize
from tests.blackbox.descents import INSTALLED, Perceptron, start, torch_walk

extra = pytest.mark.skipif(
    not ALGORITHMS["lamb"].installed, reason="pytorch-optimizer is not installed"
)
BAD = [
    ("sgd", {"lr": 0.0}, r"lr, the learning rate, must be above 0; got 0\.0"),
    ("adam", {"lr": -0.1}, "lr"),
    ("adamw", {"lr": np.nan}, "lr"),
    ("lbfgs", {"lr": 0.0}, "lr"),
    ("lbfgs", {"lr": [0.1]}, "lr is one number"),
    ("lbfgs", {"line_search_fn": "armijo"}, "line_search_fn is 'strong_wolfe' or None"),
    ("lbfgs", {"max_iter": 0}, "max_iter must be at least 1"),
    ("lbfgs", {"max_iter": "5"}, "max_iter must be at least 1, and whole; got '5'"),
    ("lbfgs", {"max_eval": 0}, "max_eval must be at least 1"),
    ("lbfgs", {"history_size": 2.5}, "history_size must be at least 1, and whole"),
    ("lbfgs", {"tolerance_grad": -1.0}, "tolerance_grad must be a number from 0"),
    ("lbfgs", {"schedule": "cosine"}, "'schedule': that is for methods that take a step"),
    ("muon", {"adamw_lr": 0.0}, "adamw_lr"),
    ("adam", {"lr": [0.1, 0.0]}, "lr"),
    ("adam", {"lr": []}, "same length"),
    ("adam", {"lr": [0.1, 0.2], "eps": [1e-8, 1e-7, 1e-6]}, "same length.*'lr': 2, 'eps': 3"),
    ("adam", {"lr": "fast"}, "lr"),
    ("sgd", {"clip_norm": 0.0}, "clip_norm must be above 0"),
    ("sgd", {"clip_value": -1.0}, "clip_value must be above 0"),
    ("sgd", {"accumulate": 0}, "accumulate is a number of gradients from 1; got 0"),
    ("sgd", {"accumulate": 1.5}, "accumulate"),
    ("sgd", {"momentun": 0.9}, r"no option 'momentun' \(did you mean 'momentum'"),
    ("adam", {"betas": (2.0, 0.9)}, r"torch.optim.Adam refuses .*betas.*Invalid beta"),
    ("adam", {"betas": 0.9}, "betas=0.9 .*2 numbers"),
    ("adam", {"betas": (0.9,)}, "betas=.*2 numbers"),
    ("adam", {"betas": [0.9, 0.99]}, "a list is a setting for each run"),
    ("muon", {"adamw_eps": -1.0}, "torch.optim.AdamW refuses.*epsilon"),
    ("cma", {"schedule": "cosine"}, "'cma' has no option 'schedule': .*'adam', 'sgd'"),
    ("nelder-mead", {"clip_norm": 1.0}, "'clip_norm': that is for methods that take a step"),
    ("torch", {"optimizer": "Adaam"}, "unknown optimizer 'Adaam'.*'Adam'"),
    ("torch", {"optimizer": "torch.optim.Nothing"}, "can't be imported"),
    ("torch", {"optimizer": "no.such.Thing"}, "can't be imported"),
    ("torch", {"optimizer": "LBFGS"}, "by a gradient alone.*method='lbfgs'"),
    ("torch", {"optimizer": "SparseAdam"}, "by a gradient alone"),
    ("torch", {"arguments": {"lr": 0.0}}, "lr, the learning rate, must be above 0"),
    ("torch", {"arguments": {"beta": 0.9}}, "Adam refuses.*did you mean 'betas'"),
    ("torch", {"arguments": {"betas": (2, 2)}}, "Adam refuses.*Invalid beta"),
]


@pytest.mark.parametrize(("name", "options", "says"), BAD)
def test_bad_options_are_named_before_the_first_evaluation(name, options, says):
    if not ALGORITHMS[name].installed:
        pytest.skip(f"{name} needs a library")
    calls = []
    with pytest.raises(ValueError, match=says):
        minimize(calls.append, [0.0, 0.0], method=name, options=options, budget=10)
    assert not calls


@pytest.mark.parametrize(("option", "value"), [("optimizer", 3), ("arguments", 0.1)])
def test_what_is_no_optimizer_is_a_type_error(option, value):
    with pytest.raises(TypeError, match=f"{option} is a"):
        minimize(sum, [0.0, 0.0], method="torch", options={option: value}, budget=10)


def test_settings_and_starts_must_be_as_many():
    with pytest.raises(ValueError, match="x0 has 3 starts and the options 2 settings"):
        minimize(sum, np.zeros((3, 2)), method="adam", options={"lr": [0.1, 0.2]}, budget=10)


def test_no_rule_asks_beyond_the_steps_that_it_takes():
    for name in INSTALLED:
        fun = Perceptron()
        minimize(fun, start(), method=name, budget=3)
        assert len(fun.asked) == 3


# Any other optimizer


def walk_by(**options):
    fun = Perceptron()
    minimize(fun, start(), method="torch", options=options, budget=10)
    return fun.walk()


def test_an_optimizer_is_given_by_name_class_or_function():
    expected = torch_walk("sgd", start(), "float64", 10, {"lr": 0.1, "momentum": 0.9})
    given = {"lr": 0.1, "momentum": 0.9}

    def make(tensors, lr=0.1):
        return torch.optim.SGD(tensors, lr=lr, momentum=0.9)

    for optimizer, arguments in [
        ("SGD", given),
        ("sgd", given),
        ("torch.optim.SGD", given),
        (torch.optim.SGD, given),
        (make, {}),
        (make, {"lr": 0.1}),
    ]:
        assert np.array_equal(walk_by(optimizer=optimizer, arguments=arguments), expected)


@extra
def test_the_extra_library_is_looked_up_after_torch():
    import pytorch_optimizer

    fun = Perceptron()
    minimize(fun, start(), method="torch", options={"optimizer": "Lion"}, budget=10)
    expected = walk_by(optimizer=pytorch_optimizer.Lion)
    assert np.array_equal(fun.walk(), expected)
    # torch has a Muon too, which takes matrices only; the perceptron has vectors.
    with pytest.raises(ValueError, match=r"Muon refuses.*2D"):
        walk_by(optimizer="Muon")


def test_an_optimizers_own_rate_is_known_and_scheduled():
    options = {"optimizer": "SGD", "schedule": lambda o: torch.optim.lr_scheduler.StepLR(o, 2)}
    result = minimize(Perceptron(), start(), method="torch", options=options, budget=4)
    rate = result.history.trace.curves().learning_rate
    assert np.allclose(rate, [1e-3, 1e-3, 1e-4, 1e-4])


def test_tensors_are_stepped_one_by_one_unless_it_is_said_that_none_need_be():
    class Counting(torch.optim.SGD):
        seen: list = []  # noqa: RUF012

        def step(self):
            self.seen.append([tuple(p.shape) for p in self.param_groups[0]["params"]])
            super().step()

    walks = []
    for elementwise in (False, True):
        fun = Perceptron()
        options = {"optimizer": Counting, "arguments": {"lr": 0.1}, "elementwise": elementwise}
        Counting.seen.clear()
        minimize(fun, start(k=3), method="torch", options=options, budget=6)
        walks.append(np.array(fun.asked))
        blocks = [(3, Perceptron.n)] if elementwise else list(Perceptron.blocks)
        taken = [shapes for shapes in Counting.seen if shapes != [(2, 2)]]  # the trial
        assert taken == [blocks] * len(taken)
        assert len(taken) in ((1, 2) if elementwise else (3, 6))
    assert np.array_equal(*walks)


class Drawing(torch.optim.SGD):
    """Draws random numbers, when it is made and in each step."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        self.first = torch.rand(1)

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad += 0.1 * torch.randn(p.shape) * self.first
        super().step()


def test_random_numbers_of_a_rule_are_the_same_in_each_run_and_nobody_elses():
    before = torch.random.get_rng_state()
    walks = [walk_by(optimizer=Drawing) for _ in range(2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(*walks)
    plain = walk_by(optimizer="SGD", arguments={"lr": 0.1})
    assert not np.array_equal(walks[0], plain)
    moves = np.diff(walks[0] - plain, axis=0)
    assert len(np.unique(np.round(moves, 12), axis=0)) > 5, "each step draws others"


def test_a_class_of_torch_in_place_of_a_name_is_told_what_to_write():
    calls = []
    with pytest.raises(TypeError, match="write method='adam', or method='torch'"):
        minimize(calls.append, [0.0, 0.0], method=torch.optim.Adam, budget=10)
    assert not calls


def test_what_a_later_part_of_a_chain_refuses_is_refused_at_once():
    calls = []
    options = {"adam": {"accumulate": 3}}
    with pytest.raises(ValueError, match="accumulate=3 averages gradients"):
        minimize(calls.append, [0.0, 0.0], method=["cma", "adam"], options=options, budget=99)
    assert not calls
