"""Optuna's own suite for samplers, on ours."""

import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from adapters.tuning.sampler import METHODS, BlackboxSampler

SMALL = {"pso": {"swarmsize": 4}, "differential_evolution": {"popsize": 2}}


class _Suite(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(autouse=True)
    def quiet(self):
        import optuna

        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        yield
        optuna.logging.set_verbosity(level)


class TestCMA(_Suite):
    @pytest.fixture
    def sampler(self):
        return lambda: BlackboxSampler("cma", seed=0)


@pytest.mark.slow
class TestEachMethod(_Suite):
    @pytest.fixture(params=[name for name in METHODS if name != "cma"])
    def sampler(self, request):
        return lambda: BlackboxSampler(request.param, options=SMALL.get(request.param))
