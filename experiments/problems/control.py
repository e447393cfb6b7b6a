"""Policies for two classical control tasks, all candidates and episodes at once.

The tasks are CartPole-v1 and Acrobot-v1 of gymnasium, whose equations are computed here for whole
arrays of states, in gymnasium's order, so that episodes come out the same step by step:

Barto, A. G., Sutton, R. S., Anderson, C. W. (1983), Neuronlike adaptive elements that can solve
difficult learning control problems, IEEE Transactions on Systems, Man, and Cybernetics 13, 834-846.
Sutton, R. S. (1996), Generalization in reinforcement learning: successful examples using sparse
coarse coding, Advances in Neural Information Processing Systems 8, 1038-1044; with the equations of
Sutton, R. S., Barto, A. G. (1998), Reinforcement learning: an introduction, section 11.3. Towers,
M., et al. (2024), Gymnasium: a standard interface for reinforcement learning environments,
arXiv:2407.17032.

Gymnasium itself is not needed. One candidate at a time costs what it costs there; ten at once,
about a tenth of that each.

A policy is a network, linear or with one hidden layer of tanh, that sees what the task shows of its
state and takes the action of the highest score. The objective is minus the mean return of five
episodes of at most 500 steps, which begin as the tasks do under the seeds 0 to 4: a function, in
steps and plateaus.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark, Layers
from experiments.problems.family import Family, Parameter, Whole

Array = NDArray[np.float64]
Actions = NDArray[np.intp]

EPISODES, STEPS = 5, 500
BOUNDS = (-3.0, 3.0)


class Task(NamedTuple):
    """What an episode is made of; states are (..., 4).

    Attributes
    ----------
    starts
        States in which episodes begin, (episodes, 4).
    observe
        What a policy sees of a state, (..., inputs), in float32's precision.
    step
        From states and actions (...) to the next states.
    ended
        Whether an episode is over in a state, (...).
    reward, last
        For a step, and for the one that ends an episode.
    inputs, actions
        How many numbers are seen, how many actions there are.
    """

    starts: Array
    observe: Callable[[Array], Array]
    step: Callable[[Array, Actions], Array]
    ended: Callable[[Array], NDArray[np.bool_]]
    reward: float
    last: float
    inputs: int
    actions: int


def _starts(width: float) -> Array:
    """The first states of gymnasium's episodes under the seeds 0, 1, ..."""
    return np.array([np.random.default_rng(s).uniform(-width, width, 4) for s in range(EPISODES)])


def _in_float32(values: Array) -> Array:
    return values.astype(np.float32).astype(float)


def _cart_step(state: Array, action: Actions) -> Array:
    x, speed, angle, turning = np.moveaxis(state, -1, 0)
    cart, pole, length, tau = 1.0, 0.1, 0.5, 0.02
    total, moment = pole + cart, pole * length
    force = np.where(action == 1, 10.0, -10.0)
    cos, sin = np.cos(angle), np.sin(angle)
    push = (force + moment * np.square(turning) * sin) / total
    turn = (9.8 * sin - cos * push) / (length * (4.0 / 3.0 - pole * np.square(cos) / total))
    pull = push - moment * turn * cos / total
    return np.stack(
        [x + tau * speed, speed + tau * pull, angle + tau * turning, turning + tau * turn], axis=-1
    )


def _cart_ended(state: Array) -> NDArray[np.bool_]:
    off: NDArray[np.bool_] = np.abs(state[..., 0]) > 2.4
    return off | (np.abs(state[..., 2]) > 12 * 2 * np.pi / 360)


def _arm_slope(state: Array, torque: Array) -> Array:
    """The derivative by time of two links of length and mass 1."""
    first, second, spin1, spin2 = np.moveaxis(state, -1, 0)
    cos, sin = np.cos(second), np.sin(second)
    d1 = 0.5**2 + (1 + 0.5**2 + 2 * 0.5 * cos) + 1 + 1
    d2 = (0.5**2 + 0.5 * cos) + 1
    phi2 = 0.5 * 9.8 * np.cos(first + second - np.pi / 2)
    phi1 = (
        -0.5 * spin2**2 * sin
        - 2 * 0.5 * spin2 * spin1 * sin
        + (0.5 + 1) * 9.8 * np.cos(first - np.pi / 2)
        + phi2
    )
    turn2 = (torque + d2 / d1 * phi1 - 0.5 * spin1**2 * sin - phi2) / (0.5**2 + 1 - d2**2 / d1)
    turn1 = -(d2 * turn2 + phi1) / d1
    return np.stack([spin1, spin2, turn1, turn2], axis=-1)


def _arm_step(state: Array, action: Actions) -> Array:
    """A step of Runge and Kutta's of the fourth order; angles are wrapped and speeds limited."""
    torque: Array = action - np.float64(1)
    dt = 0.2
    k1 = _arm_slope(state, torque)
    k2 = _arm_slope(state + dt / 2 * k1, torque)
    k3 = _arm_slope(state + dt / 2 * k2, torque)
    k4 = _arm_slope(state + dt * k3, torque)
    after = state + dt / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
    angles = after[..., :2]
    while (far := np.abs(angles) > np.pi).any():
        angles[far] -= 2 * np.pi * np.sign(angles[far])
    after[..., 2:] = np.clip(after[..., 2:], (-4 * np.pi, -9 * np.pi), (4 * np.pi, 9 * np.pi))
    return after


def _arm_seen(state: Array) -> Array:
    first, second = state[..., 0], state[..., 1]
    seen = [np.cos(first), np.sin(first), np.cos(second), np.sin(second)]
    return _in_float32(np.stack([*seen, state[..., 2], state[..., 3]], axis=-1))


def _arm_ended(state: Array) -> NDArray[np.bool_]:
    first, second = state[..., 0], state[..., 1]
    up: NDArray[np.bool_] = -np.cos(first) - np.cos(second + first) > 1
    return up


TASKS = {
    "cartpole": Task(
        _starts(0.05), _in_float32, _cart_step, _cart_ended, reward=1, last=1, inputs=4, actions=2
    ),
    "acrobot": Task(
        _in_float32(_starts(0.1)),
        _arm_seen,
        _arm_step,
        _arm_ended,
        reward=-1,
        last=0,
        inputs=6,
        actions=3,
    ),
}


class Policies:
    """Networks that choose actions, one a candidate.

    Parameters
    ----------
    points
        Their weights, (k, n), in the order of torch: a layer's by its neurons, then its biases.
    layers
        Fan-in and fan-out of each layer.
    """

    def __init__(self, points: Array, layers: Layers) -> None:
        self._layers: list[tuple[Array, Array]] = []
        at = 0
        for fan_in, fan_out in layers.layers:
            weights, at = points[:, at : at + fan_in * fan_out], at + fan_in * fan_out
            biases, at = points[:, at : at + fan_out], at + fan_out
            by_neuron = weights.reshape(-1, fan_out, fan_in).transpose(0, 2, 1)
            self._layers.append((by_neuron, biases[:, None, :]))

    def __call__(self, seen: Array) -> Actions:
        """Return actions (k, episodes) for observations (k, episodes, inputs)."""
        for depth, (weights, biases) in enumerate(self._layers):
            seen = (np.tanh(seen) if depth else seen) @ weights + biases
        chosen: Actions = seen.argmax(axis=-1)
        return chosen


class Objective:
    """Minus the mean return of a task's episodes, batched: (k, n) -> (k,).

    Parameters
    ----------
    task
        A name of `TASKS`.
    hidden
        Units of the policy's hidden layer; 0: it is linear.
    """

    batched = True
    reads_only = True

    def __init__(self, task: str, hidden: int) -> None:
        self._task = TASKS[task]
        self.layers = policy_layers(self._task, hidden)

    def __call__(self, points: Array) -> Array:
        """Return the values (k,) of weights (k, n)."""
        task, returns = self._task, np.zeros((len(points), EPISODES))
        left = np.arange(len(points))  # candidates with episodes that still go on
        states = np.tile(task.starts, (len(points), 1, 1))
        going = np.ones((len(points), EPISODES), dtype=bool)
        policies = Policies(points, self.layers)
        for _ in range(STEPS):
            states = task.step(states, policies(task.observe(states)))
            ended = task.ended(states)
            returns[left] += going * np.where(ended, task.last, task.reward)
            going &= ~ended
            # What has ended is computed on until there is enough of it to be worth a copy.
            states[~going] = task.starts[0]
            there = going.any(axis=1)
            if 2 * np.count_nonzero(there) <= len(left):
                if not there.any():
                    break
                left, states, going = left[there], states[there], going[there]
                policies = Policies(points[left], self.layers)
        values: Array = -returns.mean(axis=1)
        return values


def policy_layers(task: Task, hidden: int) -> Layers:
    """Return the layers of a policy with so many hidden units."""
    if not hidden:
        return Layers(((task.inputs, task.actions),))
    return Layers(((task.inputs, hidden), (hidden, task.actions)))


def benchmark(task: str, what: str, optimum: float | None, cost: str, hidden: int) -> Benchmark:
    """Return the problem of policies with so many hidden units for a task."""
    layers = policy_layers(TASKS[task], hidden)
    kind = f"network with {hidden} hidden units" if hidden else "linear policy"
    return Benchmark(
        name=f"{task}:hidden={hidden}",
        description=f"minus the mean return of a {kind} that {what}",
        source=SOURCES[task],
        make=partial(Objective, task, hidden),
        n=layers.n,
        bounds=BOUNDS,
        draw=layers,
        optimum=optimum,
        cost=cost,
    )


SOURCES = {
    "cartpole": "Barto, Sutton and Anderson (1983), as gymnasium's CartPole-v1",
    "acrobot": "Sutton (1996), as gymnasium's Acrobot-v1",
}


def _family(task: str, what: str, optimum: float | None, cost: str, hidden: int) -> Family:
    row = benchmark(task, what, optimum, cost, hidden)
    return Family(
        name=task,
        description=f"minus the mean return of a policy that {what}",
        source=row.source,
        variables=f"{row.n} at hidden={hidden}",
        box=f"{BOUNDS[0]:g} .. {BOUNDS[1]:g}",
        start="as torch initializes layers",
        optimum="unknown" if optimum is None else f"{optimum:g}",
        cost=cost,
        make=partial(benchmark, task, what, optimum, cost),
        parameters={"hidden": Parameter("hidden units; 0: linear", Whole(0, 64), str(hidden))},
    )


CARTPOLE = _family("cartpole", "balances a pole on a cart", -500.0, "3 ms", hidden=0)
ACROBOT = _family("acrobot", "swings up an arm of two links", None, "10 ms", hidden=8)
