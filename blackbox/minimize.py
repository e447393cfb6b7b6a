"""The one-call way in: `minimize`, scipy's signature and more."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Literal, cast

from blackbox.algorithms import find
from blackbox.algorithms.custom import Custom
from blackbox.blocking import Blocking, drive
from blackbox.budget import Budget, Halt
from blackbox.choice import Chosen, choose_method
from blackbox.constraints import measure_violation
from blackbox.diagnosis.making import make_terms
from blackbox.evaluation import Evaluator
from blackbox.failures import OnError, describe
from blackbox.fidelity import make_evaluator
from blackbox.header import make_header, same_seed
from blackbox.history import History
from blackbox.journal import Journal
from blackbox.noise import search_share
from blackbox.objective import Jac, Objective
from blackbox.problem import check_tolerance, make_problem, make_random
from blackbox.progress import ProgressLine
from blackbox.replay import Replayed
from blackbox.result import Outcome, Result, make_result
from blackbox.snapshot import Snapshots
from blackbox.steady import check_steady, make_flow, search_steadily
from blackbox.types import (
    Algorithm,
    Callback,
    Evaluate,
    Problem,
    RandomStream,
    Resumable,
    SteadyAlgorithm,
    Stop,
)
from blackbox.validation import Validation, find_validation
from blackbox.warm_start import WarmStart, read_past
from blackbox.workers import Workers, open_workers


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
    steady: bool | int = False,
    timeout: float | None = None,
    on_error: OnError = "raise",
    on_interrupt: Literal["raise", "return"] = "raise",
    noisy: bool = False,
    integrality: Any = None,
    journal: str | os.PathLike[str] | None = None,
    warm_start: WarmStart | None = None,
    keep_points: bool = False,
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
        incumbent did not improve; with `steady`, rounds of as many values as are under way.
    seed
        An int, a numpy `Generator` or a `RandomState` (used as it is). None: a fresh one, found
        again in ``result.seed``.
    workers
        Who evaluates the points of a batch: None, a number of processes, a
        `concurrent.futures.Executor` (dask's, `blackbox.RayExecutor`) or a map-like callable.
    steady
        Whether to tell each value as it comes, and to hand out another point at once, so that no
        slow evaluation holds up a batch; for methods that allow it (`Method.steady`). With several
        workers such a run does not repeat. A number: of points under way at once; True: as many as
        there are workers. See `blackbox.steady`.
    timeout
        Seconds for one evaluation, which takes place in a process of its own: what takes longer, or
        crashes, is a failed evaluation (``"timeout"``, ``"lost"``), whatever `on_error` says.
    on_error
        ``"raise"``, or ``"penalize"``: an exception of `fun` counts as a failed evaluation. Or
        ``on_error(x, error) -> value``, to stand for the value; it may raise, `StopIteration` to
        stop. How many failed, and why, is in ``result.history.failures``.
    on_interrupt
        ``"raise"``, or ``"return"``: Ctrl-C ends the run, and the result so far is returned.
    noisy
        Whether `fun` gives another value each time at the same point: see `blackbox.noise`.
    integrality
        Which variables are integers: 0 or 1 for each, or once for all, as in scipy.
    journal
        A file to which every evaluation is written as the run goes. Where the file is there
        already, the run goes on from it: the same call again, after a kill, ends as if nothing had
        happened. See `blackbox.replay`.
    warm_start
        What is known of `fun` already, instead of `x0`: a journal (its path, or what `read_journal`
        returned), a `Result`, or ``(points, values)``, shapes (m, n) and (m,). None of it
        counts. The method learns from it what it can (`Method.past`), and the result is no worse
        than the best of it, unless `fun` is noisy.
    keep_points
        Whether every point that is evaluated is kept, in ``result.history.evaluated``.
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
    generation, of every tenth from there (of fewer in runs of more than a thousand), of one that
    seems to reach `target` and of the last is evaluated by `full`, which counts as one evaluation.
    `result.fun`, `target`, the history's improvements and what a `callback` sees are such values
    only.

    Examples
    --------
    >>> from blackbox import minimize
    >>> result = minimize(lambda x: sum((x - 1) ** 2), [0.0, 0.0], method="cma", seed=1)
    >>> result.fun < 1e-8
    True
    """
    args = args if isinstance(args, tuple) else (args,)
    check_tolerance(tol)
    limits = Budget(budget, max_seconds, target)
    options, workers = _take_workers(options, workers)
    if on_interrupt not in ("raise", "return"):
        raise ValueError(f"on_interrupt is 'raise' or 'return'; got {on_interrupt!r}")
    with Outcome(on_interrupt == "return") as outcome, ExitStack() as opened:
        spread = opened.enter_context(open_workers(workers, timeout))
        flow = make_flow(steady, spread)
        objective = Objective(
            fun,
            args,
            jac,
            batched=batched,
            spread=spread if flow is None or spread is None else flow,
            on_error=on_error,
        )
        if method is None:  # scipy's rule
            method = "slsqp" if constraints else "bfgs" if bounds is None else "l-bfgs-b"
        losses = find_validation(
            fun, validation, validate_every, patience, options, batched=objective.batched
        )
        if flow is not None:
            check_steady(method, noisy, objective.changing, losses is not None)
        problem = make_problem(
            x0,
            None if callable(method) else bounds,
            () if callable(method) else constraints,
            fun=fun,
            gradients=objective.gradients,
            scheme=objective.scheme,
            budget=search_share(budget) if noisy and not objective.changing else budget,
            changing=objective.changing,
            full_every=0 if objective.full is None or not objective.changing else None,
            validate_every=0 if losses is None else validate_every,
            noisy=noisy,
            integrality=integrality,
            hess=_bind(hess, args),
            hessp=_bind(hessp, args),
            callback=callback,
            past=None if warm_start is None else read_past(warm_start, journal),
        )
        if callable(method):
            own = Custom(method, bounds, constraints, options, tol)
            name = getattr(method, "__name__", type(method).__name__)
            chosen = Chosen(name, "named by the caller", own, "solver", None)
        else:
            chosen = choose_method(method, problem, options, tol, steady=flow is not None)
            _warn_of_unused(chosen.name, method, jac, hess, hessp)
        if limits.evaluations is None and chosen.default_budget is not None:
            limits = Budget(chosen.default_budget, max_seconds, target)
            if chosen.plans:
                problem = replace(problem, budget=chosen.default_budget)
        written = None if journal is None else opened.enter_context(Journal(journal))
        rng, kept_seed = make_random(seed if written is None else same_seed(written.header, seed))
        history = History(
            measure_violation(problem.constraints),
            chosen.constraint_tolerance,
            objective.changing,
            make_terms(chosen, problem, limits, options),
            keep_points,
        )
        history.begin_with(problem.past)
        evaluated: Objective = objective
        if written is not None:
            header = make_header(
                chosen.name,
                options,
                problem,
                kept_seed,
                tol=tol,
                validate_every=validate_every,
                patience=patience,
                steady=None if flow is None else flow.width,
            )
            written.begin(header)
            evaluated = replayed = Replayed(objective, written, history)
            losses = None if losses is None else replayed.through("validation", losses)
        stopper = None
        if losses is not None or patience is not None:
            held = 0 if problem.full_every == 0 else 1
            stopper = Validation(losses, history, limits, validate_every, patience, held)
        line = ProgressLine(chosen.name, limits.evaluations) if progress else None
        evaluator = make_evaluator(
            evaluated,
            history,
            limits if flow is None else replace(limits, seconds=None),
            rng,
            callback if chosen.callback == "batch" else None,
            line,
            noisy,
            stopper,
        )
        evaluate: Evaluate = evaluator
        if written is not None:
            parts: dict[str, Resumable] = {
                "history": history,
                "evaluator": evaluator,
                "objective": objective,
            }
            if stopper is not None:
                parts["validation"] = stopper
            planned = chosen.plans or objective.changing or losses is not None
            plan = limits.evaluations if planned else None
            evaluate = Snapshots(written, evaluator, parts, plan)
        fields = {"method": chosen.name, "method_reason": chosen.reason, "seed": kept_seed}
        try:
            if flow is None:
                stop = _search(chosen.algorithm, problem, rng, evaluator, evaluate)
            else:
                run = cast(SteadyAlgorithm, chosen.algorithm).steady(problem, rng, flow.width)
                flow.begin(objective.call, history, written)
                stop = search_steadily(run, flow, evaluator, limits, history)
            if written is not None:
                written.finish(stop, history)
        except BaseException as error:
            stop = evaluator.interrupt(Stop(describe(error), success=False, status=-1))
            outcome.result = make_result(stop, problem, history, fields)
            raise
        finally:
            if objective.end is not None:
                objective.end()
            if line is not None:
                line.close()
        outcome.result = make_result(stop, problem, history, fields)
    assert outcome.result is not None
    return outcome.result


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


def _search(
    algorithm: Algorithm,
    problem: Problem,
    rng: RandomStream,
    evaluator: Evaluator,
    evaluate: Evaluate,
) -> Stop:
    """Run the algorithm to its end in this thread."""
    try:
        evaluator.begin()
        if isinstance(algorithm, Blocking):
            stop = algorithm.solve(problem, rng, evaluate)
        else:
            stop = drive(algorithm.run(problem, rng), evaluate)
    except Halt as halt:
        stop = halt.stop
    return evaluator.finish(stop)
