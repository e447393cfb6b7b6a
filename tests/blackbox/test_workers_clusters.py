"""Real local clusters of dask and Ray: workers and nodes are killed, nothing is lost."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from blackbox import RayExecutor, minimize

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # theirs, not ours
START = np.zeros(2)


@pytest.fixture
def dask_client(no_thread_left_soon):
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    with (  # a local cluster would give up a worker that is away when it looks
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
        distributed.Client(made) as client,
    ):
        yield client


@pytest.fixture
def dask_nodes(no_thread_left_soon):
    """A client, and two nodes of one worker each, in sessions of their own."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as made,
        distributed.Client(made) as client,
    ):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", made.scheduler_address]
        nodes = [
            subprocess.Popen(
                [*command, "--nthreads", "1", "--no-dashboard"],
                cwd=Path(__file__).parents[2],
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for _ in range(2)
        ]
        try:
            client.wait_for_workers(2, timeout=60)
            yield client, nodes
        finally:
            for node in nodes:
                end(node)


def end(node):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


@pytest.fixture
def no_thread_left_soon():
    """None of ours, that is."""
    yield
    assert not [each for each in threading.enumerate() if each.name.startswith("blackbox")]


@pytest.fixture
def ray_nodes():
    """A head and two nodes of one CPU each; the head evaluates nothing."""
    ray = pytest.importorskip("ray")
    utilities = pytest.importorskip("ray.cluster_utils")
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield cluster, nodes
    finally:
        ray.shutdown()
        cluster.shutdown()


def noting(folder, pause=0.005):
    """An objective that leaves its process's number in a folder."""

    def fun(x):
        path = folder / str(os.getpid())
        if not path.exists():
            path.touch()
        time.sleep(pause)
        return float(np.sum((x - 1) ** 2))

    return fun


@contextlib.contextmanager
def killing(folder, most, pause):
    """Kill processes that evaluate, one at a time."""
    over, kills = threading.Event(), []

    def kill():
        while len(kills) < most and not over.wait(pause):
            for path in list(folder.iterdir())[:1]:
                path.unlink()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(path.name), signal.SIGKILL)
                    kills.append(path.name)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield kills
    finally:
        over.set()
        killer.join()


def check(result, budget):
    """Every evaluation was told; those that were lost twice are known as lost."""
    assert result.nfev == budget
    assert set(result.history.failures) <= {"lost"}
    assert result.history.failure_count < budget / 20
    assert result.fun < 0.1


SETTINGS = {"method": "random", "bounds": (-3, 3), "seed": 0}


def test_dask_workers_that_are_killed(dask_client, tmp_path):
    with killing(tmp_path, 5, 1.0) as kills:
        settings = {"workers": dask_client, "budget": 1000, **SETTINGS}
        result = minimize(noting(tmp_path, 0.01), START, **settings)
    assert len(kills) >= 3
    check(result, 1000)


def test_a_dask_node_that_is_killed(dask_nodes):
    client, nodes = dask_nodes
    timer = threading.Timer(1.0, end, [nodes[0]])
    timer.start()
    result = minimize(
        lambda x: time.sleep(0.01) or float(np.sum((x - 1) ** 2)),
        START,
        workers=client.get_executor(),
        budget=500,
        **SETTINGS,
    )
    timer.join()
    check(result, 500)
    assert not result.history.failures
    assert len(client.nthreads()) == 1


def test_an_executor_of_dask_keeps_its_options_and_its_end(dask_client):
    [first, _] = dask_client.nthreads()
    executor = dask_client.get_executor(workers=[first])
    seen = []

    def fun(x):
        import distributed

        if distributed.get_worker().address != first:
            raise RuntimeError("elsewhere")
        return float(x @ x)

    result = minimize(fun, START, workers=executor, budget=30, callback=seen.append, **SETTINGS)
    assert result.nfev == 30
    executor.shutdown()
    with pytest.raises(RuntimeError, match="has been shut down"):
        minimize(fun, START, workers=executor, budget=30, **SETTINGS)


def test_dask_evaluates_equal_points_each_time(dask_client, tmp_path):
    def fun(x):
        with (tmp_path / "log").open("a") as file:
            file.write("x")
        return float(x[0] > -9)

    def method(fun, x0, args=(), **_):
        values = [fun(x0) for _ in range(5)]
        return OptimizeResult(x=x0, fun=values[0], success=True)

    minimize(fun, START, method=method, workers=dask_client.get_executor())
    assert (tmp_path / "log").read_text() == "xxxxx"


@pytest.mark.parametrize("timeout", [None, 60])
def test_dask_is_sent_large_data_once(dask_client, timeout, monkeypatch):
    data, placed, sent = np.ones(3_000_000), [], []
    scatter, submit = dask_client.scatter, dask_client.submit

    def scattering(what, **options):
        placed.append(what)
        return scatter(what, **options)

    def submitting(*arguments, **options):
        sent.append(max(len(getattr(each, "payload", "")) for each in arguments))
        return submit(*arguments, **options)

    monkeypatch.setattr(dask_client, "scatter", scattering)
    monkeypatch.setattr(dask_client, "submit", submitting)

    def jac(x):
        return 2 * (x - data[-1])

    def fun(x):
        return float(np.sum((x - data[0]) ** 2))

    settings = {"workers": dask_client, "timeout": timeout}
    result = minimize(fun, START, jac=jac, method="l-bfgs-b", **settings)
    assert len(placed) == 2  # the function and its gradient
    assert len(sent) == result.nfev + result.njev > 4
    assert max(sent) == 0


def test_dask_guards_in_its_workers_and_ships_large_data_once(dask_client):
    data = np.ones(3_000_000)

    def fun(x):
        if x[0] > 2.5:
            os._exit(1)
        return float(np.sum((x - data[0]) ** 2))

    began = time.monotonic()
    result = minimize(fun, START, workers=dask_client, timeout=30, budget=200, **SETTINGS)
    assert set(result.history.failures) == {"lost"}
    assert result.nfev == 200
    plain = minimize(
        lambda x: float(np.sum((x - data[0]) ** 2)),
        START,
        workers=dask_client,
        budget=200,
        **SETTINGS,
    )
    assert plain.nfev == 200
    assert time.monotonic() - began < 120


def test_ray_workers_that_are_killed(ray_nodes, tmp_path):
    with RayExecutor() as pool, killing(tmp_path, 5, 1.0) as kills:
        settings = {"workers": pool, "budget": 1000, **SETTINGS}
        result = minimize(noting(tmp_path, 0.01), START, **settings)
    assert len(kills) >= 3
    check(result, 1000)


def test_a_ray_node_that_is_killed(ray_nodes, tmp_path):
    cluster, nodes = ray_nodes
    calls = []

    def remove(report):
        calls.append(report)
        if len(calls) == 2:
            cluster.remove_node(nodes[0], allow_graceful=False)

    with RayExecutor() as pool:
        settings = {"workers": pool, "budget": 150, "callback": remove, "seed": 0}
        result = minimize(noting(tmp_path, 0.01), START, method="cma", **settings)
    assert len(calls) > 2
    check(result, 150)
    assert not result.history.failures


def test_ray_guards_in_its_workers(ray_nodes):
    def fun(x):
        if x[0] > 2.5:
            os._exit(1)
        if x[1] > 2.7:
            time.sleep(600)
        return float(np.sum((x - 1) ** 2))

    with RayExecutor(num_cpus=0.5) as pool:
        result = minimize(fun, START, workers=pool, timeout=1, budget=60, **SETTINGS)
    assert set(result.history.failures) == {"lost", "timeout"}
    assert result.nfev == 60


@pytest.mark.parametrize("timeout", [None, 60])
def test_ray_is_sent_large_data_once(ray_nodes, timeout, monkeypatch):
    import ray

    data, put, stored = np.ones(3_000_000), ray.put, []

    def putting(what):
        stored.append(what)
        return put(what)

    def fun(x):
        return float(np.sum((x - data[0]) ** 2))

    monkeypatch.setattr(ray, "put", putting)
    with RayExecutor() as pool:
        settings = {"workers": pool, "timeout": timeout, "budget": 40, "seed": 0}
        assert minimize(fun, START, method="cma", **settings).nfev == 40
    assert len(stored) == 1


def test_a_ray_call_that_is_cancelled_ends(ray_nodes, tmp_path):
    pool = RayExecutor()
    future = pool.submit(time.sleep, 600)
    assert pool.submit(os.getpid).result(60) > 0
    pool.shutdown(cancel_futures=True)
    assert future.cancelled()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(len, "x")
