import pickle

import numpy as np
import pytest

from experiments.recording import Recorder


class Sphere:
    batched = True
    n = 2

    def __call__(self, points):
        return (points**2).sum(axis=1)


class SmoothSphere(Sphere):
    def value_and_gradient(self, points):
        return self(points), 2 * points


def test_keeps_every_value_in_order_and_its_running_minimum():
    recorder = Recorder(SmoothSphere())
    recorder(np.array([[3.0, 0.0], [1.0, 0.0]]))
    recorder.value_and_gradient(np.array([[2.0, 0.0]]))
    recorder(np.array([[0.5, 0.0]]))
    np.testing.assert_array_equal(recorder.values, [9, 1, 4, 0.25])
    np.testing.assert_array_equal(recorder.best_so_far, [9, 1, 1, 0.25])


def test_a_failed_value_does_not_hide_the_best():
    recorder = Recorder(lambda points: points[:, 0])
    recorder(np.array([[2.0], [np.nan], [1.0]]))
    np.testing.assert_array_equal(recorder.best_so_far, [2, 2, 1])


def test_has_gradients_only_where_the_objective_has_them():
    assert hasattr(Recorder(SmoothSphere()), "value_and_gradient")
    assert not hasattr(Recorder(Sphere()), "value_and_gradient")


def test_everything_else_is_the_objectives_own():
    recorder = Recorder(Sphere())
    assert recorder.batched is True
    assert recorder.n == 2
    with pytest.raises(AttributeError):
        recorder.dtype  # noqa: B018


def test_empty_and_pickled():
    recorder = pickle.loads(pickle.dumps(Recorder(Sphere())))
    assert recorder.values.shape == (0,)
    assert recorder(np.ones((1, 2)))[0] == 2
