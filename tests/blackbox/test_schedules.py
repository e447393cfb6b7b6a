"""Schedules by name are torch's own, step by step, and walk as a hand-written loop with them."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torchs

from adapters import ModelObjective
from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.algorithms.descent.rules import SGD, Adam
from blackbox.algorithms.descent.schedule import make_rates

N = 120
"""Steps of a run."""
LR = 0.05


def sequence(optimizer, *parts):
    """torch's SequentialLR of pairs: a scheduler, and where it begins."""
    return torchs.SequentialLR(optimizer, [p[0] for p in parts], [p[1] for p in parts[1:]])


def warm(optimizer, steps, start=0.01):
    return torchs.LinearLR(optimizer, start, total_iters=steps)


BY_HAND = {
    "constant": lambda o: torchs.ConstantLR(o, 1.0),
    "constant(30, factor=0.5)": lambda o: torchs.ConstantLR(o, 0.5, 30),
    "warmup": lambda o: warm(o, 6),
    "warmup(10, start_factor=0.2)": lambda o: warm(o, 10, 0.2),
    "linear": lambda o: torchs.LinearLR(o, 1.0, 0.0, N),
    "linear(end_factor=0.1)": lambda o: torchs.LinearLR(o, 1.0, 0.1, N),
    "polynomial(power=2)": lambda o: torchs.PolynomialLR(o, N, 2),
    "cosine": lambda o: torchs.CosineAnnealingLR(o, N),
    "cosine(eta_min=1e-3)": lambda o: torchs.CosineAnnealingLR(o, N, 1e-3),
    "cosine-restarts": lambda o: torchs.CosineAnnealingWarmRestarts(o, N // 4),
    "cosine_restarts(T_0=10%, T_mult=2)": lambda o: torchs.CosineAnnealingWarmRestarts(o, 12, 2),
    "exponential": lambda o: torchs.ExponentialLR(o, 0.01 ** (1 / N)),
    "exponential(gamma=0.98)": lambda o: torchs.ExponentialLR(o, 0.98),
    "inverse-time": lambda o: torchs.LambdaLR(o, lambda t: 1 / (1 + 9 / N * t)),
    "inverse time(decay=0.5)": lambda o: torchs.LambdaLR(o, lambda t: 1 / (1 + 0.5 * t)),
    "step": lambda o: torchs.StepLR(o, N // 3),
    "step(step_size=25%, gamma=0.5)": lambda o: torchs.StepLR(o, N // 4, 0.5),
    "step(milestones=[50%, 100])": lambda o: torchs.MultiStepLR(o, [N // 2, 100]),
    "one-cycle": lambda o: torchs.OneCycleLR(o, LR, N),
    "OneCycle(pct_start=0.2, anneal_strategy=linear, three_phase=True)": lambda o: (
        torchs.OneCycleLR(o, LR, N, pct_start=0.2, anneal_strategy="linear", three_phase=True)
    ),
    "warmup(5%) + cosine": lambda o: sequence(
        o, (warm(o, 6), 0), (torchs.CosineAnnealingLR(o, N - 6), 6)
    ),
    "warmup(10)+constant(25%)+linear": lambda o: sequence(
        o,
        (warm(o, 10), 0),
        (torchs.ConstantLR(o, 1.0, 30), 10),
        (torchs.LinearLR(o, 1.0, 0.0, N - 40), 40),
    ),
    "warmup + cosine-restarts(T_0=20, eta_min=1e-4)": lambda o: sequence(
        o, (warm(o, 6), 0), (torchs.CosineAnnealingWarmRestarts(o, 20, eta_min=1e-4), 6)
    ),
    "warmup + step(step_size=20)": lambda o: sequence(
        o, (warm(o, 6), 0), (torchs.StepLR(o, 20), 6)
    ),
    "warm-up(10%) + inverse-time(decay=5e+1)": lambda o: sequence(
        o, (warm(o, 12), 0), (torchs.LambdaLR(o, lambda t: 1 / (1 + 50 * t)), 12)
    ),
}


def make(rule, **arguments):
    """A torch optimizer of one number, and that number."""
    number = torch.ones(1, requires_grad=True)
    return rule([number], **arguments), number


def drive_by_hand(rule, scheduler_of, steps=N, **arguments):
    """What a scheduler says in a plain loop: of each step, its rate and momentum."""
    optimizer, _ = make(rule, **arguments)
    scheduler = scheduler_of(optimizer)
    said = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        said.append((group["lr"], group.get("betas", group.get("momentum"))))
        optimizer.step()
        scheduler.step()
    return said


def drive(descent, steps=N, budget=N, validated=False):
    """The same of our rates."""
    rates = make_rates(descent, descent.keywords(), budget, validated)
    said = []
    for _ in range(steps):
        values = descent.keywords() | rates.values
        said.append((values["lr"], values.get("betas", values.get("momentum"))))
        assert rates.advance(1.0, None) is None
    return said


@pytest.mark.parametrize("text", BY_HAND)
def test_named_schedules_are_torchs_own(text):
    for ours, rule, more in ((Adam, torch.optim.Adam, {}), (SGD, torch.optim.SGD, {"momentum": 0})):
        expected = drive_by_hand(rule, BY_HAND[text], lr=LR, **more)
        assert drive(ours(lr=LR, schedule=text)) == expected


def test_the_table_of_names_is_tested():
    from blackbox.algorithms.descent.schedule_text import NAMES, ON_LOSSES, read

    seen = {phase.name for text in BY_HAND for phase in read(text)}
    assert seen | set(ON_LOSSES) == set(NAMES)


@pytest.mark.parametrize("text", ["cosine", "linear", "one-cycle", "cosine-restarts"])
def test_what_comes_after_the_last_step_stays_there(text):
    rates = [rate for rate, _ in drive(SGD(lr=LR, schedule=text), steps=N + 50)]
    assert set(rates[N:]) == {rates[N - 1]}


def test_a_last_phase_with_a_length_ends_there():
    rates = [rate for rate, _ in drive(SGD(lr=LR, schedule="cosine(50%, eta_min=0.01)"))]
    assert rates[N // 2 :] == [pytest.approx(0.01, rel=1e-12)] * (N // 2)
    assert rates[N // 2 - 1] > 0.01


def test_one_cycle_moves_the_momentum_of_a_rule_that_has_any():
    betas = [beta for _, beta in drive(Adam(lr=LR, schedule="one-cycle"))]
    assert betas[0] == (0.95, 0.999)
    assert min(betas)[0] == pytest.approx(0.85, abs=1e-3)
    still = [beta for _, beta in drive(Adam(lr=LR, schedule="one-cycle(cycle_momentum=False)"))]
    assert set(still) == {(0.9, 0.999)}


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def data():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 3, generator=generator)
    return inputs, inputs[:, :1] * inputs[:, 1:2] - 0.3


def train_by_hand(rule, scheduler_of, steps, **arguments):
    """A plain torch loop: the losses, and the rates, of each step."""
    net, (inputs, targets) = model(), data()
    optimizer = rule(net.parameters(), **arguments)
    scheduler = scheduler_of(optimizer)
    losses, rates = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(inputs), targets)
        loss.backward()
        losses.append(loss.item())
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return losses, rates


@pytest.mark.parametrize("text", ["warmup(5%) + cosine", "one-cycle", "step"])
@pytest.mark.parametrize("rule", [torch.optim.Adam, torch.optim.SGD])
def test_a_run_walks_as_a_hand_written_loop(rule, text):
    name = rule.__name__.lower()
    more = {"momentum": 0.9} if name == "sgd" else {}
    losses, rates = train_by_hand(rule, BY_HAND[text], N, lr=LR, **more)
    objective = ModelObjective(model(), nn.functional.mse_loss, *data(), plan="loop")
    options = {"lr": LR, "schedule": text, **more}
    result = minimize(objective, objective.x0, method=name, options=options, budget=N)
    curves = result.history.trace.curves()
    assert curves.loss.tolist() == losses
    assert curves.learning_rate.tolist() == rates


def least_squares(x):
    return np.sum((x - [1.0, -2.0]) ** 2, axis=-1)


def slope(x):
    return 2 * (x - [1.0, -2.0])


def curve(budget=60, fun=least_squares, jac=slope, x0=(0.0, 0.0), **options):
    """The learning rates of a run of sgd."""
    settings = {"lr": LR} | options
    result = minimize(fun, list(x0), method="sgd", jac=jac, options=settings, budget=budget, seed=0)
    assert result.nfev == budget
    return result.history.trace.curves().learning_rate


class Changing:
    """Minibatches that are all alike, so that only their cost is to be seen."""

    batched = True

    def begin(self, generation, rng):
        pass

    def full(self, points):
        return least_squares(points)

    def __call__(self, points):
        return least_squares(points)


def end_of_cosine(steps):
    return drive_by_hand(
        torch.optim.SGD, lambda o: torchs.CosineAnnealingLR(o, steps), steps, lr=LR
    )


@pytest.mark.parametrize(
    ("budget", "accumulate"), [(330, 1), (331, 1), (57, 1), (330, 4), (100, 3)]
)
def test_a_run_on_minibatches_ends_where_the_schedule_does(budget, accumulate):
    rates = curve(budget, Changing(), schedule="cosine", accumulate=accumulate)
    steps = len(rates) // accumulate
    assert len(rates) < budget, "some of it went into evaluations at full fidelity"
    by_hand = [rate for rate, _ in end_of_cosine(steps)]
    assert rates[: steps * accumulate].tolist() == np.repeat(by_hand, accumulate).tolist()


def test_finite_differences_are_part_of_what_a_step_costs():
    rates = curve(99, jac=None, schedule="cosine")
    assert rates.tolist() == [rate for rate, _ in end_of_cosine(33)]
    rates = curve(100, jac="3-point", schedule="cosine")
    assert rates.tolist() == [rate for rate, _ in end_of_cosine(20)]


def test_settings_side_by_side_have_schedules_of_their_own():
    result = minimize(
        least_squares,
        [0.0, 0.0],
        method="sgd",
        jac=slope,
        options={"lr": [0.1, 0.01], "schedule": "cosine"},
        budget=2 * N,
    )
    for run, rate in enumerate([0.1, 0.01]):
        expected = drive_by_hand(torch.optim.SGD, BY_HAND["cosine"], lr=rate)
        rates = result.history.trace.curves(run).learning_rate
        assert rates.tolist() == [rate for rate, _ in expected]


def cyclic(optimizer):
    return torchs.CyclicLR(optimizer, 0.01, 0.1, step_size_up=7)


def test_a_function_makes_the_scheduler():
    expected = drive_by_hand(torch.optim.SGD, cyclic, lr=LR, momentum=0.9)
    assert drive(SGD(lr=LR, momentum=0.9, schedule=cyclic)) == expected
    expected = drive_by_hand(torch.optim.Adam, BY_HAND["warmup(5%) + cosine"], lr=LR)
    assert drive(Adam(lr=LR, schedule=BY_HAND["warmup(5%) + cosine"])) == expected


@pytest.mark.parametrize("text", ["warmup(5%) + cosine", "one-cycle", "inverse-time", "step"])
@pytest.mark.parametrize("used", [0, 1, 10])
def test_a_scheduler_is_followed_from_where_it_stands_and_left_alone(text, used):
    expected = drive_by_hand(torch.optim.SGD, BY_HAND[text], N, lr=LR, momentum=0.9)[used:]
    optimizer, number = make(torch.optim.SGD, lr=LR, momentum=0.9)
    scheduler = BY_HAND[text](optimizer)
    for _ in range(used):
        optimizer.step()
        scheduler.step()
    number.grad = torch.ones(1)
    before = copy.deepcopy((optimizer.state_dict(), scheduler.last_epoch))
    for _ in range(2):
        descent = SGD(lr=1.0, momentum=0.5, schedule=scheduler)
        said = drive(descent, steps=N - used)
        assert [rate for rate, _ in said] == [rate for rate, _ in expected]
    assert (optimizer.state_dict(), scheduler.last_epoch) == before
    assert number.item() == 1.0


def test_a_cycle_that_is_over_stays_over():
    def short(optimizer):
        return torchs.OneCycleLR(optimizer, LR, 30)

    rates = [rate for rate, _ in drive(Adam(schedule=short))]
    assert rates[30:] == [rates[30]] * (N - 30)


def test_no_length_needs_no_budget():
    for text in ("step(step_size=5)", "warmup(10) + constant", "exponential(gamma=0.9)"):
        drive(SGD(lr=LR, schedule=text), budget=None)
    with pytest.raises(ValueError, match=r"'cosine' depends on how many steps.*budget="):
        drive(SGD(lr=LR, schedule="cosine"), budget=None)
    with pytest.raises(ValueError, match=r"not known; give budget="):
        drive(SGD(lr=LR, schedule="warmup(5%) + constant"), budget=None)
    with pytest.raises(ValueError, match="budget="):
        Optimizer("adam", [0.0, 0.0], gradients=True, schedule="cosine").ask()


def test_options_with_a_schedule_pickle():
    descent = Adam(lr=LR, schedule="warmup(5%) + cosine")
    assert drive(pickle.loads(pickle.dumps(descent))) == drive(descent)


def test_torchs_warning_about_the_order_of_steps_is_not_provoked_nor_hidden():
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drive(SGD(lr=LR, schedule="warmup + cosine"))
        drive(SGD(lr=LR, schedule=cyclic, momentum=0.9))
    assert not caught
    assert warnings.filters == filters


@pytest.mark.parametrize("name", sorted(n for n, r in ALGORITHMS.items() if r.library == "torch"))
def test_every_rule_of_torch_takes_a_schedule(name):
    if name == "lbfgs":
        with pytest.raises(ValueError, match="schedule"):
            minimize(least_squares, [0.0, 0.0], method=name, options={"schedule": "cosine"})
        return
    for text in ("warmup(10%) + cosine", "one-cycle", "plateau"):
        result = minimize(
            least_squares, [0.0, 0.0], method=name, jac=slope, options={"schedule": text}, budget=20
        )
        rates = result.history.trace.curves().learning_rate
        assert len(rates) == 20
        assert len(set(rates)) > 5 or text == "plateau"
        assert math.isfinite(result.fun)


def test_momentum_that_a_rule_does_not_have_can_not_cycle():
    row = ALGORITHMS.get("adagrad")
    if row is None:
        pytest.skip("there is no adagrad")
    kind = row.load()
    assert len(set(drive(kind(lr=LR, schedule="one-cycle")))) > 50
    with pytest.raises(ValueError, match="neither momentum nor betas"):
        drive(kind(lr=LR, schedule="one-cycle(cycle_momentum=True)"))
