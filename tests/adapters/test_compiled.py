"""What `compile=` changes, and what it does where it cannot: most of it without a compiler."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from tests.adapters.cases import (
    BATCHED,
    around,
    article,
    assert_close,
    assert_same,
    by_hand,
    embedded,
    gru,
    make,
    perceptron,
    precision,
    reading,
    regression,
    snapshot,
    tutorial,
)

compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


class Compiler:
    """Stands for `torch.compile`: the function itself, its calls noted; or something wrong."""

    def __init__(self, fail_from=None, add=0.0):
        self.shapes, self.modes = [], []
        self.fail_from, self.add = fail_from, add

    def __call__(self, function, *, fullgraph, dynamic, mode):
        assert fullgraph
        assert dynamic is False
        self.modes.append(mode)

        def compiled(rows):
            if self.fail_from is not None and len(self.shapes) >= self.fail_from:
                raise RuntimeError("out of luck. And more")
            self.shapes.append(tuple(rows.shape))
            return function(rows) + self.add

        return compiled


@pytest.fixture
def compiler_of(monkeypatch):
    def use(**settings):
        stand_in = Compiler(**settings)
        monkeypatch.setattr(torch, "compile", stand_in)
        return stand_in

    return use


def normalised():
    layers = nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 2)
    return regression(*layers, dtype=torch.float32)


@pytest.mark.parametrize("case", [*BATCHED, normalised], ids=lambda case: case.__name__)
def test_compiled_values_are_those_of_a_hand_written_loop_in_chunks_of_one_size(case, compiler_of):
    stand_in = compiler_of()
    setup = make(case)
    before = snapshot(setup[0])
    objective = ModelObjective(*setup, compile=True)
    assert "; compiled: " in objective.batching.reason, objective.batching.reason
    chunk = objective.batching.chunk
    for k in (1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1):
        stand_in.shapes.clear()
        points = around(objective, k)
        given = points.copy()
        assert_close(objective(points), tutorial(*setup, points), precision(case))
        np.testing.assert_array_equal(points, given)
        calls = -(-k // chunk) if 2 * k >= chunk else 0
        assert stand_in.shapes == [(chunk, objective.n)] * calls
    assert_same(setup[0], before)


def test_gradients_and_paths_stay_those_of_the_plan(compiler_of):
    stand_in = compiler_of()
    for case in (normalised, embedded):
        setup = make(case)
        compiled, plain = (ModelObjective(*setup, compile=wanted) for wanted in (True, False))
        assert compiled.batching.path == plain.batching.path
        stand_in.shapes.clear()
        points = around(plain, 20)
        for ours, theirs in zip(
            compiled.value_and_gradient(points), plain.value_and_gradient(points), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        assert not stand_in.shapes


def test_what_is_compiled_of_an_unknown_loss_is_the_whole_pass(compiler_of):
    stand_in = compiler_of()
    model, _, inputs, targets = make(perceptron)
    setup = model, lambda scores, y: (scores.argmax(1) != y).float().mean(), inputs, targets
    objective = ModelObjective(*setup, compile=True)
    points = around(objective, 20)
    stand_in.shapes.clear()
    assert_close(objective(points), by_hand(*setup, points, gradients=False)[0], torch.float32)
    assert len(stand_in.shapes) == 2


def test_functions_of_the_model_are_compiled_too(compiler_of):
    stand_in = compiler_of()
    model, loss, inputs, targets = make(embedded)

    def closure(own):
        return loss(own(inputs), targets) + 0.1 * sum(p.square().sum() for p in own.parameters())

    plain = ModelObjective.from_function(model, closure)
    compiled = ModelObjective.from_function(model, closure, compile="default")
    stand_in.shapes.clear()
    points = around(plain, 20)
    assert_close(compiled(points), plain(points), torch.float32)
    assert stand_in.shapes


def without(setup, reason, **options):
    """An objective that says why it is not compiled, and is right all the same."""
    objective = ModelObjective(*setup, compile=True, **options)
    assert f"; not compiled: {reason}" in objective.batching.reason, objective.batching.reason
    points = around(objective, 20)
    plain = ModelObjective(*setup, **options)
    assert objective.batching.chunk == plain.batching.chunk
    np.testing.assert_array_equal(objective(points), plain(points))


@pytest.mark.parametrize("case", [normalised, embedded], ids=lambda case: case.__name__)
def test_without_a_compiler_all_goes_on_as_before(case, compiler_of):
    compiler_of(fail_from=0)
    without(make(case), "out of luck")


@pytest.mark.parametrize("case", [normalised, embedded], ids=lambda case: case.__name__)
def test_other_losses_than_the_loops_are_noticed(case, compiler_of):
    compiler_of(add=0.01)
    without(make(case), "it gave other losses than the loop")


def test_a_loop_has_nothing_to_compile(compiler_of):
    stand_in = compiler_of()
    for setup, plan in ((make(gru), "loop"), (make(reading), "auto"), (make(article), "loop")):
        if plan == "auto":
            with pytest.warns(UserWarning, match="one by one"):
                without(setup, "there is no batched pass to compile", plan=plan)
        else:
            without(setup, "there is no batched pass to compile", plan=plan)
    assert not stand_in.modes


def test_losses_that_leave_traces_are_not_compiled(compiler_of):
    stand_in = compiler_of()

    class Noting(nn.Module):
        last = None

        def forward(self, output, target):
            self.last = output
            return F.mse_loss(output, target)

    model, _, *data = make(normalised)
    without((model, Noting(), *data), "a pass changes the model or the loss")
    assert not stand_in.modes


def test_what_fails_later_goes_on_without(compiler_of):
    setup = make(normalised)
    stand_in = compiler_of()
    objective = ModelObjective(*setup, compile=True)
    plain = ModelObjective(*setup)
    stand_in.fail_from = 0
    points = around(objective, 20)
    np.testing.assert_array_equal(objective(points), plain(points))
    assert "; not compiled: out of luck" in objective.batching.reason
    assert objective.batching.chunk == plain.batching.chunk


def test_a_pickled_objective_is_compiled_again(compiler_of):
    stand_in = compiler_of()
    objective = ModelObjective(*make(normalised), compile="reduce-overhead")
    again = pickle.loads(pickle.dumps(objective))
    assert stand_in.modes == ["reduce-overhead"] * 2
    assert again.batching == objective.batching
    points = around(objective, 20)
    np.testing.assert_array_equal(again(points), objective(points))


def same_minibatches(setup, **options):
    """Hold a compiled objective to a plain one over several minibatches, and all the data."""
    plain, compiled = (
        ModelObjective(*setup, batch_size=7, compile=wanted, **options) for wanted in (False, True)
    )
    assert "; compiled: " in compiled.batching.reason, compiled.batching.reason
    points = around(plain, 20)
    whole = compiled(points)
    for generation in range(3):
        for objective in (plain, compiled):
            objective.begin(generation, np.random.default_rng(generation))
        values = compiled(points)
        assert np.abs(values - whole).max() > 1e-3
        assert_close(values, plain(points), torch.float32)
        assert_close(compiled.full(points), whole, torch.float32)
        assert_close(compiled(points), values, torch.float32)
    compiled.end()
    np.testing.assert_array_equal(compiled(points), whole)


@pytest.mark.parametrize("plan", ["stack", "vmap"])
def test_minibatches_go_through_what_was_compiled(plan, compiler_of):
    stand_in = compiler_of()
    setup = regression(nn.Linear(3, 4), nn.Tanh(), rows=50, dtype=torch.float32)
    same_minibatches(setup, plan=plan)
    assert len(stand_in.modes) == 1


@pytest.mark.parametrize("wanted", ["fast", ""])
def test_unknown_modes_are_listed(wanted):
    with pytest.raises(ValueError, match=r"compile must be .*'reduce-overhead'.*, not '" + wanted):
        ModelObjective(*make(article), compile=wanted)


@pytest.mark.parametrize("wanted", [1, None, 0.5])
def test_what_is_no_mode_is_refused(wanted):
    with pytest.raises(TypeError, match="compile must be a bool or"):
        ModelObjective(*make(article), compile=wanted)


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("mode", [True, "reduce-overhead"])
@pytest.mark.parametrize("case", [*BATCHED, normalised], ids=lambda case: case.__name__)
def test_really_compiled_values_are_those_of_a_hand_written_loop(case, mode):
    setup = make(case)
    before = snapshot(setup[0])
    objective = ModelObjective(*setup, compile=mode)
    assert "; compiled: " in objective.batching.reason, objective.batching.reason
    assert_same(setup[0], before)
    for k in (1, 7, 8, 16, 17, 40):
        points = around(objective, k)
        assert_close(objective(points), tutorial(*setup, points), precision(case))
    assert "; compiled: " in objective.batching.reason


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("plan", ["stack", "vmap"])
def test_really_compiled_minibatches_are_not_compiled_anew(plan):
    torch.manual_seed(0)
    from torch._dynamo.utils import counters

    counters.clear()
    layers = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)
    same_minibatches(regression(*layers, rows=50, dtype=torch.float32), plan=plan)
    assert counters["stats"]["unique_graphs"] == 2  # all the data, and a minibatch


@compiler
@pytest.mark.slow
def test_many_objectives_are_compiled_in_one_process():
    for _ in range(12):  # torch keeps eight for the same code
        objective = ModelObjective(*make(article), compile=True)
        assert "; compiled: " in objective.batching.reason, objective.batching.reason


@compiler
@pytest.mark.slow
def test_torchs_settings_stay_as_they_are():
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    before = dynamo.save_config(), inductor.save_config()
    ModelObjective(*make(normalised), compile=True)
    assert (dynamo.save_config(), inductor.save_config()) == before


@compiler
@pytest.mark.slow
def test_a_missing_compiler_is_the_reason():
    import torch._inductor.config as inductor

    with inductor.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        objective = ModelObjective(*make(normalised), compile=True)
    assert "; not compiled: No working C++ compiler" in objective.batching.reason
