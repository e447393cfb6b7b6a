"""The scales: how much memory scoring a population needs beside the population itself.

On a processor each measurement has a child process of its own: what it holds at the peak of
preparing for a model and of the first call with the whole population, over what it held before.
Linux can start a new peak (``/proc/self/clear_refs``); where that is missing, nothing can be said.
On a GPU torch counts.
"""

import subprocess
import sys
from pathlib import Path

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
MIB = 2**20


def scratch(model: str, count: int, side: str, device: str, threads: int) -> float | None:
    """Return the peak in MiB, from a child process; None where such a thing cannot be measured.

    Parameters
    ----------
    model, count, side, device
        Which model, how many candidates, scored by which side, where.
    threads
        For torch, in the child.

    Raises
    ------
    RuntimeError
        If the child fails; it says how.
    """
    if device == "mps" or (device == "cuda" and side.startswith("JAX")):
        return None
    if device == "cpu" and not CLEAR.exists():
        return None
    arguments = [model, str(count), side, device, str(threads)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise RuntimeError(f"the memory of {side} on {model} was not measured: {last}")
    return float(done.stdout.split()[-1])


def measure(model: str, count: int, side: str, device: str) -> float:
    """Return the peak in MiB of preparing and of the first call with the whole population."""
    import numpy as np

    from experiments.population.models import MODELS, population
    from experiments.population.sides import SIDES

    points = population(MODELS[model].setup(), count)
    points = points.astype(np.float64) if SIDES[side].double else points
    make, smallest = SIDES[side].make, MODELS["M1"]
    # Libraries load what they need at a first call; on the smallest model, whose memory is little.
    make(smallest, 2, device)(population(smallest.setup(), 2))
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        make(MODELS[model], count, device)(points)
        return (torch.cuda.max_memory_allocated() - before) / MIB
    CLEAR.write_text("5")
    before = _status("VmRSS")
    make(MODELS[model], count, device)(points)
    return (_status("VmHWM") - before) / MIB


def _status(field: str) -> int:
    """Return a field of this process's status, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {field}")


if __name__ == "__main__":
    from experiments.speed import threads as with_threads

    name, candidates, way, where, count = sys.argv[1:]
    with with_threads(int(count)):
        print(measure(name, int(candidates), way, where))
