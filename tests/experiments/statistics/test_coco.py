"""Runtimes against those of COCO's own post-processing, which runs in a process of its own: it sets
numpy's global seed, looks for its archives on the network, and warns where there is none."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.stats

from experiments.record import ProblemInfo
from experiments.statistics import ecdfs, ert, hits, simulate
from experiments.statistics.targets import PRECISIONS
from tests.experiments.statistics.cases import falling, record, results

SAMPLES = 600
ORACLE = """
import json, sys
import numpy as np
from cocopp import toolsstats
np.random.seed(1)
found = []
for spent, reached in json.load(sys.stdin):
    spent, reached = np.array(spent), np.array(reached)
    expected = toolsstats.sp(spent, issuccessful=reached)[0]
    sample = []
    if any(reached):
        sample = toolsstats.drawSP(spent[reached], spent[~reached], [50], SAMPLES)[1]
    found.append((float(expected), [float(runtime) for runtime in sample]))
print("\\n" + json.dumps(found))
""".replace("SAMPLES", str(SAMPLES))


@pytest.fixture(scope="module")
def runs():
    """Fifteen runs on each of three problems, some of which miss most targets."""
    random = np.random.default_rng(7)
    return [
        record(f"f{f}", "a", seed, *falling(random, most=15, budget=1000), budget=1000)
        for f in range(3)
        for seed in range(15)
    ]


@pytest.fixture(scope="module")
def cocos(runs, tmp_path_factory):
    """By problem and target, COCO's expected runtime and its sample of runtimes."""
    for name in ("cocopp", "six"):
        if find_spec(name) is None:
            pytest.skip(f"the oracle cocopp needs {name}")
    data = []
    for f in range(3):
        reached = np.array([hits(run, PRECISIONS) for run in runs if run.cell.problem == f"f{f}"])
        for column in reached.T:
            spent = np.where(np.isfinite(column), column, 1000)
            data.append((spent.tolist(), np.isfinite(column).tolist()))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ORACLE],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HOME": str(tmp_path_factory.mktemp("home")), "MPLBACKEND": "Agg"},
        timeout=120,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return [found[51 * f : 51 * (f + 1)] for f in range(3)]


def test_expected_runtimes_are_cocos(runs, cocos):
    for f, expected in enumerate(cocos):
        reached = np.array([hits(run, PRECISIONS) for run in runs if run.cell.problem == f"f{f}"])
        np.testing.assert_allclose(
            ert(reached, np.full(15, 1000.0)), [runtime for runtime, _ in expected]
        )


def test_simulated_runtimes_are_distributed_as_cocos(runs, cocos):
    tried = 0
    for f, expected in enumerate(cocos):
        reached = np.array([hits(run, PRECISIONS) for run in runs if run.cell.problem == f"f{f}"])
        found = simulate(reached, np.full(15, 1000.0), SAMPLES, np.random.default_rng(f))
        for sample, (_, theirs) in zip(found.T, expected, strict=True):
            assert np.isinf(sample).all() == (not theirs)
            if theirs:
                tried += 1
                assert scipy.stats.ks_2samp(sample, theirs, method="asymp").statistic < 0.1
    assert tried > 100


def test_the_distribution_over_problems_and_targets_is_cocos(runs, cocos):
    known = {f"f{f}": ProblemInfo(f"f{f}", 5, optimum=0.0, precision=True) for f in range(3)}
    found = ecdfs(results(*runs, **known), samples=SAMPLES)["a"]
    samples = [theirs or [np.inf] * SAMPLES for column in cocos for _, theirs in column]
    grid = np.geomspace(0.2, 20_000, 60)
    theirs = [(np.array(samples) / 5 <= point).mean() for point in grid]
    np.testing.assert_allclose(found.steps.on(grid), theirs, atol=0.02)
    assert 0.5 < found.steps.share[-1] <= 1
