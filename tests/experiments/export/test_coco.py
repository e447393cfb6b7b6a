import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from experiments.export.coco import write_coco
from experiments.record import ProblemInfo, Results

PRECISIONS = 10.0 ** np.arange(2, -8.5, -0.4)


def name(f, n, i):
    return f"bbob:f={f}:n={n}:i={i}"


def run(make_record, method, f, n, i, seed):
    """A run such as BBOB gives: from a hundred down, some to the last target and some not."""
    rng = np.random.default_rng([f, n, i, seed, len(method)])
    budget = 400 * n
    spent = np.unique(np.append(1, rng.integers(2, budget, 120)))
    fall = rng.uniform(0.02, 0.16) * np.cumsum(rng.random(len(spent)))
    return make_record(
        name(f, n, i), method, seed, spent, optimum(f, n, i) + 900 * 10**-fall, budget=budget
    )


def optimum(f, n, i):
    return round(100 * np.sin(f + 10 * n + 100 * i), 2)


def results_of(make_record, methods, functions, dimensions, instances=5, seeds=1):
    records, problems = [], {}
    for f in functions:
        for n in dimensions:
            for i in range(1, instances + 1):
                problems[name(f, n, i)] = ProblemInfo(name(f, n, i), n, optimum=optimum(f, n, i))
                for method in methods:
                    records += [run(make_record, method, f, n, i, s) for s in range(seeds)]
    return Results(tuple(records), problems)


def hit(record, target):
    """The evaluation at which a run reached a target; inf where it never did."""
    reached = np.flatnonzero(record.curve.values <= target)
    return float(record.curve.evaluations[reached[0]]) if len(reached) else np.inf


def ert(records, optima, distance):
    """All evaluations spent until the target or in vain, by the runs that reached it."""
    hits = [hit(r, best + distance) for r, best in zip(records, optima, strict=True)]
    spent = sum(h if np.isfinite(h) else r.evaluations for h, r in zip(hits, records, strict=True))
    good = np.isfinite(hits).sum()
    return spent / good if good else np.inf


@pytest.fixture(scope="module")
def cocopp():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("cocopp")


def load(cocopp, folder):
    with warnings.catch_warnings():
        # Fewer than 15 trials, and fewer dimensions than the suite has, are worth a word to it.
        warnings.simplefilter("ignore")
        return cocopp.load(str(folder))


@pytest.mark.parametrize("seeds", [1, 3])
def test_cocopp_reads_our_expected_runtimes(make_record, tmp_path, cocopp, seeds, capsys):
    results = results_of(make_record, ["cma", "pso:swarmsize=40"], [1, 8], [2, 10], seeds=seeds)
    written = write_coco(results, tmp_path)
    assert [folder.name for folder in written.folders] == ["cma", "pso-swarmsize=40"]
    for folder, method in zip(written.folders, results.methods, strict=True):
        sets = load(cocopp, folder)
        assert len(sets) == 4
        for data in sets:
            ours = [
                r
                for r in results.records
                if re.fullmatch(rf"bbob:f={data.funcId}:n={data.dim}:i=\d+", r.cell.problem)
                and r.cell.method == method
            ]
            optima = [results.problems[r.cell.problem].optimum for r in ours]
            assert sorted(data.instancenumbers) == sorted([1, 2, 3, 4, 5] * seeds)
            theirs = data.detERT(PRECISIONS)
            expected = [ert(ours, optima, distance) for distance in PRECISIONS]
            np.testing.assert_allclose(theirs, expected, rtol=1e-12)
            assert np.isfinite(expected).any()
            shares = data.detSuccessRates(PRECISIONS)
            assert any(0 < share < 1 for share in shares)  # else it would be too easy
            for distance, evals in zip(PRECISIONS, data.detEvals(PRECISIONS), strict=True):
                hits = [hit(r, best + distance) for r, best in zip(ours, optima, strict=True)]
                found = np.where(np.isnan(evals), np.inf, evals)
                np.testing.assert_array_equal(np.sort(found), np.sort(hits))
    capsys.readouterr()


def test_failed_runs_are_trials_without_success(make_record, tmp_path, cocopp, capsys):
    problem = name(1, 2, 1)
    late = make_record(problem, "m", 0, [10, 20], [50.0, 1.0], budget=100)
    never = make_record(problem, "m", 1, [], [], budget=100, failures=100)
    solved = make_record(problem, "m", 2, [1, 30], [9.0, 0.0], budget=100)
    info = {problem: ProblemInfo(problem, 2, optimum=0.0)}
    write_coco(Results((late, never, solved), info), tmp_path)
    (data,) = load(cocopp, tmp_path / "m")
    np.testing.assert_array_equal(np.sort(data.detEvals([1.0])[0]), [20, 30, np.nan])
    assert data.detERT([1.0]) == [(20 + 30 + 100) / 2]
    assert data.detERT([1e-8]) == [(100 + 100 + 30) / 1]
    capsys.readouterr()


@pytest.mark.slow
def test_cocopp_makes_its_pages_of_all_functions(make_record, tmp_path, cocopp):
    results = results_of(make_record, ["cma", "pso"], range(1, 25), [2, 5])
    folders = write_coco(results, tmp_path / "data").folders
    code = (
        "import matplotlib, sys; matplotlib.use('agg'); import cocopp;"
        "cocopp.genericsettings.interactive_mode = False;"
        "cocopp.main('-o pages ' + ' '.join(sys.argv[1:]))"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, folders)], cwd=tmp_path, check=True)
    pages = [path.name for path in (tmp_path / "pages").rglob("*.html")]
    assert "index.html" in pages
    assert len(pages) > 5


def test_what_is_not_of_the_suite_is_left_out_and_said(make_record, tmp_path):
    good, bad, unknown = name(3, 2, 1), "article", name(4, 2, 1)
    records = [make_record(p, "cma", 0, [1], [1.0]) for p in (good, bad, unknown)]
    records.append(make_record(good, "pso", 0, [], [], evaluations=0, error="no bounds"))
    info = {
        good: ProblemInfo(good, 2, optimum=0.0),
        bad: ProblemInfo(bad, 12, optimum=0.5),
        unknown: ProblemInfo(unknown, 2),
    }
    written = write_coco(Results(tuple(records), info), tmp_path)
    assert [folder.name for folder in written.folders] == ["cma"]
    assert [sorted(p.name for p in f.iterdir()) for f in written.folders] == [
        ["bbobexp_f3.info", "data_f3"]
    ]
    said = " ".join(written.left_out)
    assert len(written.left_out) == 3
    assert all(words in said for words in ("article", "not known", "no bounds"))


def test_nothing_of_the_suite_is_an_error(make_record, tmp_path):
    results = Results(
        (make_record("article", "cma", 0, [1], [1.0]),), {"article": ProblemInfo("article", 2)}
    )
    with pytest.raises(ValueError, match="bbob:f=F:n=N:i=I"):
        write_coco(results, tmp_path)
    assert not list(tmp_path.iterdir())


def test_methods_have_folders_of_their_own(make_record, tmp_path):
    methods = ["a:b=1", "a-b=1", "A-B=1", "../../up", "'quoted', x = 1\n% no"]
    problem = name(1, 2, 1)
    records = tuple(make_record(problem, method, 0, [1], [1.0]) for method in methods)
    written = write_coco(
        Results(records, {problem: ProblemInfo(problem, 2, optimum=0.0)}), tmp_path
    )
    names = [folder.name.lower() for folder in written.folders]
    assert len(set(names)) == len(methods)
    assert {folder.resolve().parent for folder in written.folders} == {tmp_path.resolve()}
    for folder in written.folders:
        lines = (folder / "bbobexp_f1.info").read_text().splitlines()
        assert len(lines) == 3
        assert lines[0].count("'") == 2
