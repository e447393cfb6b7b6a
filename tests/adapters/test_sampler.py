"""Our methods as an Optuna sampler: the same points as our own loop, read from the study."""

import pickle
import warnings

import numpy as np
import optuna
import pytest

from adapters import BlackboxSampler, Choice, Float, Int, Log, LogInt, Space
from adapters.tuning.sampler_generations import METHODS
from adapters.tuning.sampler_replay import ATTRIBUTE
from blackbox import Optimizer

SPACE = Space(a=Float(-1, 2), b=Log(1e-3, 10), c=Float(0, 1))
SMALL = {
    "cma": {"popsize": 6},
    "differential_evolution": {"popsize": 2},
    "lhs": {"popsize": 8},
    "pso": {"swarmsize": 5},
    "random": {"popsize": 8},
    "sobol": {"popsize": 8},
}


@pytest.fixture(autouse=True)
def quiet():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(level)


def sampler(method="cma", space=SPACE, **given):
    return BlackboxSampler(
        method, **{"seed": 3, "options": SMALL.get(method), "space": space, **given}
    )


def value(point):
    return float(np.sum((point - [0.3, 0.6, 0.5]) ** 2 * [1, 3, 9]))


def objective(trial):
    return value(SPACE.encode(SPACE.suggest(trial)))


def points_of(study):
    return np.array([trial.system_attrs[ATTRIBUTE]["point"] for trial in study.trials])


def own_loop(method, count, tell=None):
    """What `Optimizer` asks on the unit box; `tell` makes values of points, (k, n)."""
    options = dict(SMALL.get(method, {}))
    start = None
    if method == "cma":
        start, options["sigma0"] = np.full(3, 0.5), 1 / 6
    if method == "differential_evolution":
        options["polish"] = False
    asked = []
    with Optimizer(method, start, bounds=[(0, 1)] * 3, seed=3, **options) as opt:
        while sum(map(len, asked)) < count:
            asked.append(opt.ask())
            opt.tell(tell(asked[-1]) if tell else np.array([value(x) for x in asked[-1]]))
    return np.concatenate(asked)[:count]


@pytest.mark.parametrize("method", SMALL)
def test_a_serial_study_asks_what_our_own_loop_asks(method):
    study = optuna.create_study(sampler=sampler(method))
    study.optimize(objective, n_trials=40)
    np.testing.assert_allclose(points_of(study), own_loop(method, 40), rtol=0, atol=1e-12)
    for trial, point in zip(study.trials, points_of(study), strict=True):
        assert trial.params == SPACE.decode(point)


@pytest.mark.parametrize("method", ["cma", "pso", "sobol"])
def test_the_study_is_all_that_it_needs(method):
    study = optuna.create_study(sampler=sampler(method))
    for i in range(30):
        if i % 7 == 3:
            study.sampler = sampler(method)
        if i % 7 == 5:
            study.sampler = pickle.loads(pickle.dumps(study.sampler))
        study.optimize(objective, n_trials=1)
    np.testing.assert_allclose(points_of(study), own_loop(method, 30), rtol=0, atol=1e-12)


def test_maximizing_is_minimizing_the_negative():
    studies = [
        optuna.create_study(sampler=sampler(), direction=way) for way in ("minimize", "maximize")
    ]
    studies[0].optimize(objective, n_trials=20)
    studies[1].optimize(lambda trial: -objective(trial), n_trials=20)
    np.testing.assert_array_equal(*map(points_of, studies))


def test_failed_and_pruned_trials_rank_behind_all_others():
    def hard(trial):
        found = objective(trial)
        if trial.number % 6 == 1:
            return float("nan")
        if trial.number % 6 in (2, 3):
            for step in range(trial.number % 6):
                trial.report(found, step)
            raise optuna.TrialPruned
        return found

    def ranks(points):
        found = np.array([value(x) for x in points])
        # Pruned later before pruned earlier; the values of pruned trials are of no account.
        found[2:4] = 1e3, 1e2
        found[1] = np.nan
        return found

    study = optuna.create_study(sampler=sampler())
    study.optimize(hard, n_trials=30)
    np.testing.assert_allclose(points_of(study), own_loop("cma", 30, ranks), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["cma", "pso", "random"])
def test_more_trials_than_rows_never_share_a_point(method):
    study = optuna.create_study(sampler=sampler(method))
    trials = [study.ask(SPACE.to_optuna()) for _ in range(20)]
    for trial in reversed(trials[3:]):
        study.tell(trial, value(SPACE.encode(trial.params)))
    study.optimize(objective, n_trials=20)
    assert len(np.unique(points_of(study), axis=0)) == 40
    assert ((points_of(study) >= 0) & (points_of(study) <= 1)).all()


def test_the_cma_family_learns_from_extras_in_the_place_of_rows_that_hang():
    study = optuna.create_study(sampler=sampler())
    trials = [study.ask(SPACE.to_optuna()) for _ in range(8)]
    for trial in trials[2:]:
        study.tell(trial, value(SPACE.encode(trial.params)))
    asked = study.ask(SPACE.to_optuna()).storage.get_all_trials(study._study_id)[-1]
    assert asked.system_attrs[ATTRIBUTE]["generation"] == 1


def test_a_method_of_its_own_points_waits_for_them_a_generation_and_no_longer():
    study = optuna.create_study(sampler=sampler("pso"))
    hanging = study.ask(SPACE.to_optuna())
    study.optimize(objective, n_trials=4 + 5)
    generations = [trial.system_attrs[ATTRIBUTE]["generation"] for trial in study.trials]
    assert generations == [0] * 10
    study.optimize(objective, n_trials=1)
    assert study.trials[-1].system_attrs[ATTRIBUTE] | {"point": 0, "search": 0} == {
        "generation": 1,
        "row": 0,
        "point": 0,
        "search": 0,
    }
    study.tell(hanging, 0.0)  # too late, and no harm
    study.optimize(objective, n_trials=5)


def test_who_finds_a_row_taken_meanwhile_takes_another():
    study = optuna.create_study(sampler=sampler())
    other = optuna.study.Study(study.study_name, study._storage, sampler=sampler())
    storage, write = study._storage, study._storage.set_trial_system_attr
    late = []

    def slow(trial_id, key, content):
        if key == ATTRIBUTE and not late:
            late.append(trial_id)
            other.ask(SPACE.to_optuna())  # reads, takes the same row and writes, all before us
        write(trial_id, key, content)

    storage.set_trial_system_attr = slow
    study.ask(SPACE.to_optuna())
    rows = [trial.system_attrs[ATTRIBUTE]["row"] for trial in study.trials]
    assert sorted(rows) == [0, 1]


def test_threads_share_a_study():
    study = optuna.create_study(sampler=sampler())
    study.optimize(objective, n_trials=60, n_jobs=2)
    assert len(np.unique(points_of(study), axis=0)) == 60
    assert study.best_value < 0.02


def test_enqueued_trials_are_told():
    best = SPACE.decode(np.array([0.3, 0.6, 0.5]))
    study = optuna.create_study(sampler=sampler(seed=1))
    for _ in range(3):
        study.enqueue_trial(best)
    study.enqueue_trial({"a": 0.25})
    study.enqueue_trial({"a": 0.5, "unknown": 3})
    study.optimize(objective, n_trials=6)
    assert study.trials[0].params == best
    assert study.trials[3].params["a"] == 0.25
    np.testing.assert_allclose(points_of(study)[0], [0.3, 0.6, 0.5], atol=1e-12)
    assert study.sampler.rows_left(study) == 6  # they, and one of its own, were a generation
    study.optimize(objective, n_trials=6)
    near = np.median(np.abs(points_of(study)[6:] - [0.3, 0.6, 0.5]))
    assert near < np.median(np.abs(own_loop("cma", 6) - [0.3, 0.6, 0.5]))


def test_an_enqueued_value_that_the_space_has_not_is_left_aside():
    study = optuna.create_study(sampler=sampler())
    study.enqueue_trial({"a": 17.0})
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(objective_of_a, n_trials=1)
    study.optimize(objective, n_trials=6)
    assert ATTRIBUTE not in study.trials[0].system_attrs
    assert {trial.system_attrs[ATTRIBUTE]["row"] for trial in study.trials[1:]} == set(range(6))


def objective_of_a(trial):
    return trial.suggest_float("a", -1, 2)


def test_a_trial_that_optuna_tries_again_keeps_its_row():
    study = optuna.create_study(sampler=sampler())
    trials = [study.ask(SPACE.to_optuna()) for _ in range(6)]
    study.tell(trials[0], state=optuna.trial.TrialState.FAIL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that Optuna changed
        retry = optuna.storages.RetryFailedTrialCallback()
    retry(study, study.trials[0])
    for trial in trials[1:]:
        study.tell(trial, value(SPACE.encode(trial.params)))
    study.optimize(objective, n_trials=12)
    expected = own_loop("cma", 12)
    found = points_of(study)
    np.testing.assert_array_equal(found[6], found[0])
    np.testing.assert_allclose(found[7:13], expected[6:], rtol=0, atol=1e-12)


def test_a_run_that_ends_begins_anew_elsewhere():
    study = optuna.create_study(sampler=sampler())
    study.optimize(lambda trial: 0.0 * objective(trial), n_trials=200)
    assert len(np.unique(points_of(study), axis=0)) == 200


def test_brackets_of_hyperband_are_searches_of_their_own():
    def stepwise(trial):
        found = objective(trial)
        for step in range(9):
            trial.report(found, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return found

    def pruner():
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)

    study = optuna.create_study(sampler=sampler(), pruner=pruner())
    for _ in range(10):
        study.optimize(stepwise, n_trials=5)
        # A process that comes new takes its first trial for one of the first bracket.
        new = optuna.study.Study(study.study_name, study._storage, sampler(), pruner())
        new.optimize(stepwise, n_trials=1)
    searches = {trial.system_attrs[ATTRIBUTE]["search"] for trial in study.trials}
    assert len(searches) == 3
    assert len(np.unique(points_of(study), axis=0)) == 60
    assert study.best_value < 0.05


def test_without_a_space_it_searches_what_all_trials_have_in_common():
    def mixed(trial):
        kind = trial.suggest_categorical("kind", ["x", "y", "z"])
        size = trial.suggest_int("size", 1, 9)
        extra = trial.suggest_float("only_x", 0, 1) if kind == "x" else 0.5
        return abs(size - 4) + (kind != "y") + extra

    study = optuna.create_study(sampler=BlackboxSampler("cma", seed=0))
    study.optimize(mixed, n_trials=60)
    assert ATTRIBUTE not in study.trials[0].system_attrs
    assert all(ATTRIBUTE in trial.system_attrs for trial in study.trials[1:])
    assert study.best_params == {"kind": "y", "size": 4}


def test_conditional_parameters_are_sampled_where_the_space_is_given():
    space = Space(kind=Choice("x", "y"), depth=Int(1, 5), lr=Log(1e-4, 1, when={"kind": "x"}))

    def conditional(trial):
        found = space.suggest(trial)
        assert ("lr" in found) == (found["kind"] == "x")
        return found["depth"] + abs(np.log10(found.get("lr", 1e-4)) + 2)

    study = optuna.create_study(sampler=sampler(space=space, options=None))
    study.optimize(conditional, n_trials=30)
    for trial, point in zip(study.trials, points_of(study), strict=True):
        assert len(point) == space.n
        assert trial.params.keys() <= space.parameters.keys()
    assert study.best_value < 2


@pytest.mark.parametrize("method", ["cma", "pso", "random"])
def test_rows_left_is_what_may_be_asked_at_once(method):
    study = optuna.create_study(sampler=sampler(method))
    for _ in range(3):
        count = study.sampler.rows_left(study)
        assert count > 1
        trials = [study.ask(SPACE.to_optuna()) for _ in range(count)]
        for trial in trials:
            study.tell(trial, value(SPACE.encode(trial.params)))
    assert all(trial.system_attrs[ATTRIBUTE]["row"] is not None for trial in study.trials)


def test_without_a_seed_each_study_has_its_own_and_all_its_processes_the_same():
    first, other = (optuna.create_study(sampler=sampler(seed=None)) for _ in range(2))
    assert first.sampler.rows_left(first) == 6
    first.optimize(objective, n_trials=3)
    other.optimize(objective, n_trials=3)
    assert not np.isin(points_of(first), points_of(other)).any()
    first.sampler = sampler(seed=None)
    first.optimize(objective, n_trials=3)
    assert [trial.system_attrs[ATTRIBUTE]["row"] for trial in first.trials] == list(range(6))
    assert len({trial.system_attrs[ATTRIBUTE]["search"] for trial in first.trials}) == 1


@pytest.mark.parametrize("method", ["nelder-mead", "adam", "slsqp", "direct", "grid"])
def test_methods_that_cannot_are_refused_with_those_that_can(method):
    with pytest.raises(ValueError, match="bipop-cma, cma, differential_evolution"):
        BlackboxSampler(method)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"method": "cmma"}, ValueError, "did you mean 'cma'"),
        ({"options": {"swarmsize": 3}}, (TypeError, ValueError), "swarmsize"),
        ({"options": {"popsize": 1}}, ValueError, "popsize=1"),
        ({"seed": -1}, ValueError, "seed must not be negative"),
        ({"seed": np.random.default_rng(0)}, TypeError, "every process"),
        ({"space": {"a": 1}}, TypeError, "space is a Space"),
    ],
)
def test_bad_arguments_are_refused_at_once(given, error, words):
    with pytest.raises(error, match=words):
        BlackboxSampler(**given)


def test_every_method_goes_on_for_ever():
    for method in METHODS:
        study = optuna.create_study(sampler=sampler(method))
        study.optimize(objective, n_trials=20)
        assert len(study.trials) == 20


@pytest.mark.parametrize("method", ["sobol", "cma"])
def test_who_comes_when_the_generation_is_over_asks_in_the_next(method):
    study = optuna.create_study(sampler=sampler(method))
    other = optuna.study.Study(study.study_name, study._storage, sampler=sampler(method))
    storage, write = study._storage, study._storage.set_trial_system_attr
    late = []

    def slow(trial_id, key, content):
        if key == ATTRIBUTE and not late:
            late.append(trial_id)
            other.optimize(objective, n_trials=30)
        write(trial_id, key, content)

    storage.set_trial_system_attr = slow
    study.ask(SPACE.to_optuna())
    assert len(np.unique(points_of(study), axis=0)) == 31


@pytest.mark.parametrize("method", ["cma", "bipop-cma", "vkd-cma", "pso"])
@pytest.mark.parametrize("only", [Float(0, 1), Int(0, 40), LogInt(1, 900), Choice("a", "b")])
def test_a_space_of_one_parameter_is_searched(method, only):
    space = Space(only=only)
    best = space.decode(np.full(space.n, 0.7))["only"]
    study = optuna.create_study(sampler=sampler(method, space=space, options=None))
    study.optimize(
        lambda trial: float(np.abs(only.encode(space.suggest(trial)["only"]) - 0.7).sum()),
        n_trials=30,
    )
    assert study.best_value < 0.05 or study.best_params["only"] == best
