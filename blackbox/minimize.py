"""The one-call way in: `minimize`, scipy's signature and more."""

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from blackbox.algorithms import find
from blackbox.algorithms.custom import Custom
from blackbox.blocking import Blocking, drive
from blackbox.budget import Budget, Halt
from blackbox.choice import Chosen, choose_method
from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.evaluation import Evaluator
from blackbox.fidelity import FULL_EVERY, make_evaluator
from blackbox.history import History
from blackbox.noise import search_share
from blackbox.objective import Jac, Objective, OnError
from blackbox.problem import make_problem, make_random
from blackbox.progress import ProgressLine
from blackbox.types import Algorithm, Callback, Problem, RandomStream, Stop
from blackbox.validation import Validation, find_validation
from blackbox.workers import Workers, open_workers


class Result(OptimizeResult):
    """What `minimize` returns: scipy's `OptimizeResult` and more.

    Attributes
    ----------
    x, fun
        The solver's own end point, shape (n,), and its value; or the incumbent, where a better
        finite, feasible one was told. Then the solver's own are `solver_x` and `solver_fun`.
        Always at full fidelity, where the objective changes from batch to batch.
    nfev, njev, nit
        Evaluations (all of them, those at full fidelity too); gradients, those by differences too
        where the solver counts them; iterations or batches.
    success, status, message
        Whether the method's own criterion or the target was met by a feasible point, the solver's
        code, and why it stopped.
    maxcv
        By how much `x` breaks the constraints; only where there are any.
    jac
        The gradient at the end where the solver reports one, else None.
    history
        A `blackbox.history.History`: counts, and each improvement.
    method, method_reason, seed, seconds
        The method that ran, why ``"auto"`` chose it, the seed that repeats the run, its duration.
    """


def minimize(
    fun: Callable[..., Any],
    x0: Any = None,
    args: Any = (),
    method: str | Sequence[str] | Callable[..., Any] | None = "auto",
    jac: Jac = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callback | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    batched: bool = False,
    budget: int | None = None,
    max_seconds: float | None = None,
    target: float | None = None,
    validation: Callable[..., Any] | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    seed: int | RandomStream | None = None,
    workers: Workers = None,
    on_error: OnError = "raise",
    noisy: bool = False,
    integrality: Any = None,
    progress: bool = False,
) -> Result:
    """Minimize a function of one or more variables.

    Parameters
    ----------
    fun
        ``fun(x, *args) -> float`` of one point (n,). With `batched`, or where ``fun.batched`` is
        true: values (k,) of a batch (k, n). NaN and inf are failed evaluations. For minibatches
        and fresh noise see the notes.
    x0
        The start, (n,); several, (k, n), for local methods, which walk from all of them at once,
        and for those that put them into a population. None with bounds: the method draws its own.
    args
        Further arguments of `fun` and `jac`.
    method
        A name of `blackbox.ALGORITHMS`, in any case. ``"auto"`` chooses, see
        `blackbox.recommend`; None is scipy's rule. Several names, ``["cma", "l-bfgs-b"]`` or
        ``"cma+l-bfgs-b"``, are a chain: each goes on from the best point of those before (see
        `blackbox.composing.chain`).
    jac
        The gradient ``jac(x, *args) -> (n,)``, or (k, n) of a batch where `fun` takes batches; True
        where `fun` returns ``(value, gradient)``; ``"2-point"`` or ``"3-point"`` for finite
        differences by relative steps; False for the method's own. None: the objective's
        ``value_and_gradient`` where there is one (torch models), else as False.
    hess, hessp
        The Hessian, or its product with a vector, as scipy's; for methods that use it.
    bounds
        ``(min, max)`` pairs, a `scipy.optimize.Bounds`, or one pair for all coordinates.
    constraints
        As scipy's. Methods without a way of their own get one: see ``constraint_handling`` in
        `blackbox.composing.assembling`. The result is the best feasible point.
    tol
        Sets the method's main tolerance.
    callback
        ``callback(x)`` or ``callback(intermediate_result)``, after each batch (slsqp: each
        iteration); raise `StopIteration` to stop.
    options
        The method's options, by its library's names and defaults; ``restarts`` of local methods,
        and ``constraint_handling``. A chain's: a mapping for each name, with its ``share`` of the
        budget.
    batched
        Whether `fun` scores batches.
    budget
        Evaluations of `fun`, all of them (finite differences, full fidelity); never exceeded.
        None: the method's own stopping rule, and 10,000 where it has none.
    max_seconds
        Stop before the first batch after so many seconds.
    target
        Stop as soon as a value is at most this.
    validation
        The loss on validation data: of one point, or of a batch where `fun` takes batches. None:
        the objective's own (a model's ``validation=``), where `patience`, `validate_every` or a
        schedule that goes by it is given. It is measured at each run's point, or the best one of a
        population, and counts as an evaluation. See ``result.history.trace``.
    validate_every
        Generations from one validation to the next. None: a hundredth of the run, at least 10.
    patience
        Stop early, after so many validations in a row without a new lowest loss, and return the
        point where it was lowest. Without validation: after so many generations in which the
        incumbent did not improve.
    seed
        An int, a numpy `Generator` or a `RandomState` (used as it is). None: a fresh one, found
        again in ``result.seed``.
    workers
        None, a number of processes, a `concurrent.futures.Executor` or a map-like callable:
        who evaluates the points of a batch.
    on_error
        ``"raise"``, or ``"penalize"``: an exception of `fun` counts as a failed evaluation.
    noisy
        Whether `fun` gives another value each time at the same point: see `blackbox.noise`.
    integrality
        Which variables are integers: 0 or 1 for each, or once for all, as in scipy.
    progress
        Show a line on stderr.

    Returns
    -------
    A `Result`.

    Raises
    ------
    TypeError, ValueError
        Before the first evaluation for arguments that make no sense; at the first one where `fun`
        does not return a real number.
    Exception
        What `fun` raises, and `KeyboardInterrupt`; the result so far is its ``result`` attribute.

    Notes
    -----
    An objective that has ``batched`` may change from batch to batch: ``fun.begin(generation, rng)``
    is then called before each, and draws what all its candidates see (see `blackbox.fidelity`).
    Only methods that compare values within a batch take it (`Method.changing`): `cma`, `adam` ...
    Where it has
    ``fun.full(points) -> values`` too, values of batches are provisional: the winner of the first
    generation, of every tenth from there, of one that seems to reach `target` and of the last is
    evaluated by `full`, which counts as one evaluation. `result.fun`, `target`, the history's
    improvements and what a `callback` sees are such values only.

    Examples
    --------
    >>> from blackbox import minimize
    >>> result = minimize(lambda x: sum((x - 1) ** 2), [0.0, 0.0], method="cma", seed=1)
    >>> result.fun < 1e-8
    True
    """
    args = args if isinstance(args, tuple) else (args,)
    limits = Budget(budget, max_seconds, target)
    options, workers = _take_workers(options, workers)
    with open_workers(workers) as map_points:
        objective = Objective(
            fun, args, jac, batched=batched, map_points=map_points, on_error=on_error
        )
        if method is None:  # scipy's rule
            method = "slsqp" if constraints else "bfgs" if bounds is None else "l-bfgs-b"
        losses = find_validation(
            fun, validation, validate_every, patience, options, batched=objective.batched
        )
        problem = make_problem(
            x0,
            None if callable(method) else bounds,
            () if callable(method) else constraints,
            fun=fun,
            gradients=objective.gradients,
            scheme=objective.scheme,
            budget=search_share(budget) if noisy and not objective.changing else budget,
            changing=objective.changing,
            full_every=0 if objective.full is None or not objective.changing else FULL_EVERY,
            validate_every=0 if losses is None else validate_every,
            noisy=noisy,
            integrality=integrality,
            hess=_bind(hess, args),
            hessp=_bind(hessp, args),
            callback=callback,
        )
        if callable(method):
            own = Custom(method, bounds, constraints, options, tol)
            name = getattr(method, "__name__", type(method).__name__)
            chosen = Chosen(name, "named by the caller", own, "solver", None)
        else:
            chosen = choose_method(method, problem, options, tol)
            _warn_of_unused(chosen.name, method, jac, hess, hessp)
        if limits.evaluations is None and chosen.default_budget is not None:
            limits = Budget(chosen.default_budget, max_seconds, target)
            problem = replace(problem, budget=chosen.default_budget)
        rng, kept_seed = make_random(seed)
        history = History(
            measure_violation(problem.constraints),
            chosen.constraint_tolerance,
            objective.changing,
        )
        stopper = None
        if losses is not None or patience is not None:
            held = 1 if problem.full_every else 0
            stopper = Validation(losses, history, limits, validate_every, patience, held)
        line = ProgressLine(chosen.name, limits.evaluations) if progress else None
        evaluator = make_evaluator(
            objective,
            history,
            limits,
            rng,
            callback if chosen.callback == "batch" else None,
            line,
            noisy,
            stopper,
        )
        fields = {"method": chosen.name, "method_reason": chosen.reason, "seed": kept_seed}
        try:
            stop = _search(chosen.algorithm, problem, rng, evaluator)
        except BaseException as error:
            stop = evaluator.interrupt(Stop(f"{type(error).__name__}: {error}", False, -1))
            _attach(error, _result(stop, problem, history, fields))
            raise
        finally:
            if objective.changing and objective.end is not None:
                objective.end()
            if line is not None:
                line.close()
    return _result(stop, problem, history, fields)


def _take_workers(
    options: Mapping[str, Any] | None, workers: Workers
) -> tuple[Mapping[str, Any] | None, Workers]:
    """scipy's own place for workers is among the options; -1 means all cores there."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a dict of names and values; got {options!r:.60}")
    if options is None or "workers" not in options:
        return options, workers
    given = options["workers"]
    if isinstance(given, int) and given == -1:
        given = os.cpu_count() or 1
    rest = {name: value for name, value in options.items() if name != "workers"}
    return rest, given if workers is None else workers


def _bind(function: Any, args: tuple[Any, ...]) -> Any:
    """The user's Hessian, or its product with a vector, with the further arguments put in."""
    if not callable(function) or not args:
        return function
    return lambda *point: function(*point, *args)


def _warn_of_unused(name: str, method: Any, jac: Any, hess: Any, hessp: Any) -> None:
    """scipy's warnings for derivatives that the method has no use for."""
    rows, shown = [find(each) for each in name.split("+")], name if method == "auto" else method
    unused = []
    if jac is not None and bool(jac) and all(r.lenient and r.gradients == "none" for r in rows):
        unused.append("gradient information (jac)")
    if not any(row.hessian for row in rows):
        unused += ["Hessian information (hess)"] if hess is not None else []
        unused += ["Hessian-vector product information (hessp)"] if hessp is not None else []
    for what in unused:
        warnings.warn(f"Method {shown} does not use {what}.", RuntimeWarning, stacklevel=3)


def _search(algorithm: Algorithm, problem: Problem, rng: RandomStream, evaluate: Evaluator) -> Stop:
    """Run the algorithm to its end in this thread."""
    try:
        if isinstance(algorithm, Blocking):
            stop = algorithm.solve(problem, rng, evaluate)
        else:
            stop = drive(algorithm.run(problem, rng), evaluate)
    except Halt as halt:
        stop = halt.stop
    return evaluate.finish(stop)


def _result(stop: Stop, problem: Problem, history: History, fields: dict[str, Any]) -> Result:
    """The solver's own end point, unless a better one was told."""
    extras = dict(stop.extras)
    restored = extras.pop("restored", False)
    x, value = extras.pop("x", None), float(extras.pop("fun", math.inf))
    extras.setdefault("jac", None)
    if history.trace.ends_x is not None:
        extras.setdefault("ends_x", history.trace.ends_x)
        extras.setdefault("ends_fun", history.trace.ends_value)
    if history.validation_count:
        extras["validation_loss"] = history.validated_value
    own_count = extras.pop("njev", 0)  # the solver's own: gradients by differences
    if x is None or (not restored and _beats(history, problem, x, value)):
        if x is not None:
            extras |= {"solver_x": x, "solver_fun": value}
            # The gradient that the solver reports is the one at its own end point.
            extras["jac"] = None
        x, value = history.best_x, history.best_value
    if x is None:
        x = problem.starts[0].copy() if len(problem.starts) else np.full(problem.n, np.nan)
    solved = math.isfinite(value)
    message = stop.reason
    if stop.success and not solved:
        message = "no evaluation gave a finite value; check the objective, the start and the bounds"
    if (violation := measure_violation(problem.constraints)) is not None:
        extras["maxcv"] = violation(np.asarray(x, dtype=float))
        if stop.success and solved and extras["maxcv"] > history.tolerance:
            solved = False
            message += f" But the best point found breaks a constraint by {extras['maxcv']:.3g}"
    return Result(
        x=np.array(x, dtype=float),
        fun=value,
        nfev=history.evaluation_count,
        njev=history.gradient_count or own_count,
        nit=extras.pop("nit", history.batch_count),
        success=stop.success and solved,
        status=stop.status,
        message=message,
        history=history,
        seconds=history.elapsed(),
        **fields,
        **extras,
    )


def _beats(history: History, problem: Problem, x: Any, value: float) -> bool:
    """Whether the incumbent is better than the solver's end point, and no less feasible."""
    if not math.isfinite(value):
        return True
    violation = measure_violation(problem.constraints)
    if violation is None:
        return history.best_value < value
    own = violation(np.asarray(x, dtype=float))
    if own > history.tolerance:
        return history.feasible or history.best_violation < own
    if history.best_value >= value:
        return False
    # What breaking a constraint by a rounding error buys is no gain.
    large = value - history.best_value > 1e-6 * max(1.0, abs(value))
    return history.best_violation <= max(own, FEASIBILITY if large else 0.0)


def _attach(error: BaseException, result: Result) -> None:
    """Leave the result so far on the exception; some refuse attributes."""
    with contextlib.suppress(AttributeError, TypeError):
        error.result = result  # type: ignore[attr-defined]
