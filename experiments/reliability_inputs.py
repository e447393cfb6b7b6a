"""Bad input for every method: what comes of it, by a stated rule."""

import contextlib
import json
import math
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from blackbox import ALGORITHMS, Method, minimize
from experiments.reliability_cases import BUDGET, CASES, Case, N, Planned, sphere

PATIENCE = 60.0
"""Seconds after which a case is a hang."""
MEMORY = 16 << 30
"""Bytes of address space that a process may take, where the system can limit that."""
SOLVED = 1e-2
"""Value of the plain problem below which a method may say that it has succeeded."""
RULE = {
    "ok": "a result that is what it says: a finite point within the bounds, the best value seen, "
    "points of finite differences aside, and the value at that point; success=False where no value "
    "was finite, or where the plain problem is not solved",
    "error": "an error that names what is wrong, before the first evaluation or at the one that "
    "shows it; the objective's own exception, with the result so far",
    "obscure": "an error that does not name it, or comes late",
    "silent": "a result that is not what it says, or where there should be an error",
    "hang": f"no end within {PATIENCE:.0f} s, or the process died",
}


class Outcome(NamedTuple):
    """What came of a case: a word of `RULE`, and what was said."""

    kind: str
    said: str


class Seen:
    """An objective that remembers its values."""

    def __init__(self, fun: Callable[[Any], Any]) -> None:
        self.fun, self.values = fun, list[Any]()

    def __call__(self, x: Any) -> Any:
        """Remember what comes, also nothing."""
        self.values.append(math.nan)
        self.values[-1] = value = self.fun(x)
        return value


def try_case(row: Method, case: Case) -> Outcome | None:
    """Run a case, the worst of its calls; None where it is not for the method."""
    tried = [{}] if case.options is None else case.options(row)
    outcomes = [_try_call(row, case, options) for options in tried]
    return max(outcomes, key=lambda outcome: list(RULE).index(outcome.kind), default=None)


def _try_call(row: Method, case: Case, options: dict[str, Any]) -> Outcome:
    wrapped = sphere if case.wrap is None else case.wrap(sphere)
    fun = Seen(wrapped) if callable(wrapped) else wrapped
    arguments: dict[str, Any] = {"x0": [1.0, 2.0], "bounds": [(-5.0, 5.0)] * N, "seed": 0}
    arguments |= {"budget": BUDGET, "method": row.name, "options": options} | dict(case.change)
    evaluated = fun.values if isinstance(fun, Seen) else []
    try:
        result = minimize(fun, **arguments)
    except (Exception, KeyboardInterrupt) as error:
        return _judge_error(case, error, len(evaluated), case.words or tuple(options))
    return _judge_result(case, result, evaluated, arguments)


def _judge_error(
    case: Case, error: BaseException, evaluated: int, words: tuple[str, ...]
) -> Outcome:
    said = f"{type(error).__name__}: {error}"[:300]
    if case.must == "raise":
        kept = getattr(error, "result", None) is not None
        own = isinstance(error, (Planned, KeyboardInterrupt))
        return Outcome("error" if kept and own else "obscure", said)
    named = any(word.lower() in str(error).lower() for word in words)
    ours = isinstance(error, (TypeError, ValueError, RuntimeError, KeyError, MemoryError)) and named
    early = evaluated == 0 or case.must in ("stop", "fail")
    return Outcome("error" if ours and early else "obscure", said)


def _judge_result(case: Case, result: Any, evaluated: list[Any], given: dict[str, Any]) -> Outcome:
    finite = [float(np.ravel(v)[0]) for v in evaluated if np.size(v) == 1 and _is_finite(v)]
    said = f"fun={result.fun:.6g}, success={result.success}: {result.message}"[:300]
    if case.must == "raise" and len(evaluated) < 20:
        return Outcome("ok", said)  # it ended before
    if case.must in ("refuse", "stop", "raise"):
        return Outcome("silent", said)
    if not finite:
        good = not result.success and not math.isnan(result.fun)
        return Outcome("ok" if good else "silent", said)
    good = case.must != "fail" or not result.success
    good = good and math.isfinite(result.fun) and bool(np.isfinite(result.x).all())
    good = good and result.fun in finite
    if not result.history.stencil_count:  # points of finite differences are never the result
        good = good and result.fun <= min(finite) + 1e-9 * abs(min(finite))
    if result.success and _plain(case):
        good = good and result.fun < SOLVED
    low, high = -5.0, 5.0
    if "bounds" not in case.change:
        good = good and bool(((result.x >= low) & (result.x <= high)).all())
    return Outcome("ok" if good else "silent", said)


def _plain(case: Case) -> bool:
    """Whether the problem is still the plain one: the box, the sphere."""
    return case.solves and case.wrap is None and not {"bounds", "integrality"} & case.change.keys()


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "fiu" and bool(np.isfinite(array).all())


def serve(name: str, begin: int) -> None:
    """Try the cases of a method, from one on; a line of JSON for each, on stdout."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    stdout, sys.stdout = sys.stdout, sys.stderr
    for number, case in enumerate(CASES[begin:], begin):
        began = time.perf_counter()
        outcome = try_case(ALGORITHMS[name], case)
        row = [number, outcome, time.perf_counter() - began]
        print(json.dumps(row), file=stdout, flush=True)


def try_all(name: str) -> Iterator[Outcome | None]:
    """Try all cases for a method, in a process that is killed and replaced where it hangs."""
    done = 0
    while done < len(CASES):
        for outcome in _try_from(name, done):
            done += 1
            yield outcome


def _try_from(name: str, begin: int) -> Iterator[Outcome | None]:
    command = [sys.executable, "-m", "experiments.reliability_inputs", name, str(begin)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    pipe = process.stdout
    assert pipe is not None

    def listen() -> None:
        for line in pipe:
            lines.put(line)
        lines.put("")

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        for _ in range(begin, len(CASES)):
            try:
                line = lines.get(timeout=PATIENCE)
            except queue.Empty:
                yield Outcome("hang", f"no end within {PATIENCE:.0f} s")
                return
            if not line:
                yield Outcome("hang", f"the process died ({process.wait()})")
                return
            found = json.loads(line)[1]
            yield None if found is None else Outcome(*found)
    finally:
        process.kill()
        process.wait()
        listener.join()
        pipe.close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
