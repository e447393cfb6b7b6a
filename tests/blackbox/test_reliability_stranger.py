"""What a stranger ran into: mistakes that are mended, pipes and devices, odd workers and errors."""

import json
import math
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from tests.blackbox.conftest import shifted_sphere

BOX = [(-5.0, 5.0)] * 2
RUN = {"method": "cma", "bounds": BOX, "seed": 1, "budget": 40}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


def with_pole(pole):
    def fun(x):
        return math.log(x[0] - 1) if x[0] > 1 else pole

    return fun


@pytest.mark.parametrize("method", ["cma", "nelder-mead"])
@pytest.mark.parametrize("batched", [False, True])
def test_once_minus_infinity_is_mended_the_run_goes_on(path, method, batched):
    def fun(pole):
        one = with_pole(pole)
        return (lambda X: np.array([one(x) for x in X])) if batched else one

    run = RUN | {"method": method, "x0": [2.0, 2.0], "batched": batched}
    with pytest.raises(ValueError, match="-inf"):
        minimize(fun(-math.inf), journal=path, **run)
    assert "-inf" not in path.read_text()
    mended = minimize(fun(math.nan), journal=path, **run)
    alone = minimize(fun(math.nan), **run)
    assert mended.fun == alone.fun
    assert mended.nfev == alone.nfev


def test_gradients_before_minus_infinity_are_kept_with_their_values(path):
    def fun(pole):
        # Three walks a batch: the second one falls.
        def value_and_gradient(x):
            return (pole if 0 < x[0] < 1.5 else float(x @ x)), 2 * x

        return value_and_gradient

    starts = [[3.0, 3.0], [2.0, 2.0], [-3.0, 1.0]]
    run = RUN | {"method": "adam", "x0": starts, "jac": True, "options": {"lr": 0.2}}
    with pytest.raises(ValueError, match="-inf"):
        minimize(fun(-math.inf), journal=path, **run)
    before = read_journal(path)
    assert before.damage is None
    assert before.evaluations % 3 == 1
    mended = minimize(fun(math.nan), journal=path, **run)
    assert mended.fun == minimize(fun(math.nan), **run).fun


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("read", [read_journal, Optimizer.restore, Result.load])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, read):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises((JournalError, OSError), match="no ordinary file"):
        read(pipe)


def test_a_result_takes_the_place_of_ordinary_files_only(tmp_path):
    result = minimize(shifted_sphere, **RUN)
    aim, link = tmp_path / "aim", tmp_path / "link"
    result.save(aim)
    link.symlink_to(aim)
    result.save(link)
    assert link.is_symlink()
    assert Result.load(aim).fun == result.fun
    with pytest.raises(OSError, match="no ordinary file"):
        result.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        result.save(tmp_path / "no" / "result")
    if hasattr(os, "mkfifo"):  # as a device would be
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="no ordinary file"):
            result.save(tmp_path / "pipe")
        assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="an open file stays there")
def test_a_journal_that_somebody_removes_is_missed(path, caplog):
    def fun(x):
        path.unlink(missing_ok=True)
        return shifted_sphere(x)

    assert minimize(fun, journal=path, **RUN).nfev == 40
    assert caplog.text.count("was removed by somebody else") == 1


def lines_of(path):
    return [json.loads(line[9:]) for line in path.read_bytes().splitlines()]


def write(path, contents):
    texts = [json.dumps(each).encode() for each in contents]
    path.write_bytes(b"".join(b"%08x %b\n" % (zlib.crc32(text), text) for text in texts))


def test_what_a_file_says_does_not_steer_the_terminal(path):
    minimize(shifted_sphere, journal=path, **RUN)
    contents = lines_of(path)
    contents[-1]["reason"] = "\x1b[2Jgone\nended        well"
    write(path, contents)
    told = str(read_journal(path))
    assert "\x1b" not in told
    assert len(told.splitlines()) == 8


def test_a_failure_of_a_row_that_is_not_there_is_damage(path):
    minimize(shifted_sphere, journal=path, **RUN)
    contents = lines_of(path)
    contents[1]["f"] = {"99": ["raised", "odd"]}
    write(path, contents)
    assert "do not fit" in read_journal(path).damage


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def speechless(x):
    raise Speechless


@pytest.mark.parametrize("timeout", [None, pytest.param(30, marks=pytest.mark.slow)])
def test_an_error_without_a_text_is_still_that_error(timeout):
    with pytest.raises(Speechless):
        minimize(speechless, timeout=timeout, **RUN)
    result = minimize(speechless, timeout=timeout, on_error="penalize", **RUN)
    assert result.history.failures["raised"].message == "Speechless"


@pytest.mark.parametrize("timeout", [None, pytest.param(np.float32(30), marks=pytest.mark.slow)])
def test_numbers_of_numpy_are_numbers(timeout):
    result = minimize(shifted_sphere, timeout=timeout, workers=np.int64(1), **RUN)
    assert result.fun == minimize(shifted_sphere, **RUN).fun


class Unordered:
    def imap_unordered(self, function, points):
        return reversed([function(x) for x in points])


def test_workers_that_lose_the_order_or_are_no_object_are_refused():
    with pytest.raises(ValueError, match="loses the order of the points; take imap"):
        minimize(shifted_sphere, workers=Unordered().imap_unordered, **RUN)
    with pytest.raises(TypeError, match=r"give an object of it, ThreadPoolExecutor\(...\)"):
        minimize(shifted_sphere, workers=ThreadPoolExecutor, **RUN)
