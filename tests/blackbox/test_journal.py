"""Journals as files: what is refused and in which words, damage, full disks, two writers, kills."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from blackbox import JournalError, Optimizer, minimize, read_journal
from blackbox.journal import Journal
from tests.blackbox.conftest import shifted_sphere

BOX = [(-5.0, 5.0)] * 2


def run(path, fun=shifted_sphere, budget=40, **more):
    arguments = {"method": "cma", "bounds": BOX, "seed": 1, "budget": budget} | more
    return minimize(fun, journal=path, **arguments)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.fixture
def killed(path):
    """A journal of a run that a kill ended."""

    def dies(x):
        dies.left -= 1
        if not dies.left:
            raise KeyboardInterrupt
        return shifted_sphere(x)

    dies.left = 30
    with pytest.raises(KeyboardInterrupt):
        run(path, dies)
    return path


def line(content):
    text = json.dumps(content).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


# What can't be a journal: said at once, and left as it is.


@pytest.mark.parametrize("text", ["three words here\n", "no line end", "{}\n", "ab", "a\nb\n"])
def test_a_file_that_is_no_journal_is_left_as_it_is(path, text):
    path.write_text(text)
    for use in (run, Journal, read_journal, Optimizer.restore):
        with pytest.raises(JournalError, match="no journal"):
            use(path)
    assert path.read_text() == text


def test_what_no_file_can_be_is_named(tmp_path):
    with pytest.raises(JournalError, match="is a folder; name a file"):
        run(tmp_path)
    with pytest.raises(JournalError, match=r"there is no folder .*none'; make it"):
        run(tmp_path / "none" / "run.journal")
    with pytest.raises(TypeError, match="journal is a path"):
        run(3)
    with pytest.raises(JournalError, match="can't be used"):
        run("a\0b")
    with pytest.raises(JournalError, match="can't be read"):
        read_journal(tmp_path / "none")
    with pytest.raises(JournalError, match="can't be read"):
        read_journal(tmp_path)
    with pytest.raises(JournalError, match="no ordinary file"):
        run(os.devnull)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_file_that_may_not_be_written_is_named(killed):
    killed.chmod(0o444)
    with pytest.raises(JournalError, match=r"can't be used: Permission denied"):
        run(killed)


def test_a_pipe_is_refused_and_does_not_hang(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(path)
    with pytest.raises(JournalError, match="no ordinary file"):
        run(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b'0123abcd {"journal":1,"meth'])
def test_what_a_kill_leaves_of_a_first_line_is_a_new_journal(path, content):
    path.write_bytes(content)
    with pytest.raises(JournalError, match="holds no run yet"):
        read_journal(path)
    found = run(path)
    assert found.nfev == read_journal(path).evaluations == 40


# Another run's.


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"method": "pso"}, "method is 'cma' there and 'pso' here"),
        ({"seed": 2}, "seed is 1 there and 2 here"),
        ({"bounds": [(-5, 4)] * 2}, "the upper bounds differ"),
        ({"x0": [1, 1]}, "x0 differ"),
        ({"bounds": [(-5.0, 5.0)] * 3}, "n is 2 there and 3 here"),
        ({"options": {"popsize": 9}}, "options is {} there and {'popsize': 9} here"),
        ({"noisy": True}, "noisy is False there and True here"),
        ({"integrality": [1, 0]}, "integers is None there"),
        ({"seed": np.random.default_rng(1)}, "seed is 1 there and 'state "),
    ],
)
def test_the_journal_of_another_run_is_refused(killed, other, words):
    before = killed.read_bytes()
    with pytest.raises(JournalError, match="another run") as caught:
        run(killed, **other)
    assert words in str(caught.value)
    assert killed.read_bytes() == before


def test_a_run_that_evaluated_nothing_gives_its_place(path):
    def wrong(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(path, wrong, seed=1)
    assert run(path, seed=2).nfev == 40
    assert read_journal(path).header["seed"] == 2


def test_another_function_is_noticed_and_costs_nothing(killed):
    past = read_journal(killed)
    killed.write_bytes(killed.read_bytes())
    lines = killed.read_bytes().splitlines(keepends=True)
    kept = json.loads(lines[1][9:])
    kept["y"] = [1.0 + v for v in kept["y"]][::-1]
    lines[1] = line(kept)
    killed.write_bytes(b"".join(lines))
    before = killed.read_bytes()
    with pytest.raises(JournalError, match=r"asks for other points.*read_journal") as caught:
        run(killed, budget=60)
    assert "budget is 40 there and 60 here" in str(caught.value)  # what may be the reason
    assert caught.value.result.nfev == 6
    assert killed.read_bytes() == before
    assert past.best_value < 1


def test_other_versions_are_no_reason_to_refuse(killed):
    lines = killed.read_bytes().splitlines(keepends=True)
    header = json.loads(lines[0][9:])
    header["made with"] |= {"numpy": "0.1", "machine": "abacus"}
    killed.write_bytes(line(header) + b"".join(lines[1:]))
    assert run(killed).nfev == 40
    assert read_journal(killed).header["made with"]["machine"] == "abacus"


# Two writers.


def test_a_journal_that_is_being_written_is_refused_to_a_second_run(path):
    with Optimizer("cma", bounds=BOX, journal=path) as first:
        for use in (run, Optimizer.restore):
            with pytest.raises(JournalError, match="being written by another run"):
                use(path)
        first.tell([shifted_sphere(x) for x in first.ask()])
        read_journal(path)  # to read is allowed
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no lock is left
    Optimizer.restore(path).close()


def test_a_link_to_a_journal_is_that_journal(path, tmp_path):
    with Journal(path):
        link = tmp_path / "link"
        try:
            link.symlink_to(path)
        except OSError:
            pytest.skip("no links here")
        with pytest.raises(JournalError, match="being written"):
            Journal(link)


def test_of_many_that_race_for_a_journal_one_at_a_time_has_it(path):
    inside, most, errors, turns = [], [], [], []

    def compete():
        for _ in range(20):
            try:
                with Journal(path):
                    inside.append(1)
                    most.append(len(inside))
                    turns.append(1)
                    inside.pop()
            except JournalError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=compete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(turns) + len(errors) == 80
    assert all("being written" in error for error in errors)


def test_what_is_there_is_never_written_over(path, caplog):
    with Optimizer("cma", bounds=BOX, journal=path) as run:
        run.tell([shifted_sphere(x) for x in run.ask()])
        with path.open("ab") as other:  # somebody who does not look for locks
            other.write(b"not ours")
        before = path.read_bytes()
        run.tell([shifted_sphere(x) for x in run.ask()])
        assert path.read_bytes().startswith(before)
    assert "changed by somebody else" in caplog.text


# Damage.


def test_cut_anywhere_in_its_last_bytes_it_goes_on(killed):
    whole, data = run(killed.with_name("whole")), killed.read_bytes()
    for cut in range(1, 301, 7):
        killed.write_bytes(data[:-cut])
        found = run(killed)
        assert (found.fun, found.nfev) == (whole.fun, whole.nfev)


@pytest.mark.slow
def test_cut_at_each_of_its_last_300_bytes_it_goes_on(killed):
    whole, data = run(killed.with_name("whole")), killed.read_bytes()
    for cut in range(1, 301):
        killed.write_bytes(data[:-cut] + b"\0" * (cut % 3))
        found = run(killed)
        assert found.x.tobytes() == whole.x.tobytes()
        assert found.nfev == whole.nfev


@pytest.mark.parametrize("flips", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_flipped_bit_changes_a_run(killed, flips):
    data, rng = killed.read_bytes(), np.random.default_rng(0)
    whole = run(killed.with_name("whole"))
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    for _ in range(flips):
        damaged = bytearray(data)
        place = int(rng.integers(len(data)))
        damaged[place] ^= 1 << int(rng.integers(8))
        killed.write_bytes(damaged)
        if place < last - 1:
            with pytest.raises(JournalError, match=r"is damaged|no journal"):
                run(killed)
            assert killed.read_bytes() == damaged
        else:  # what is not whole at the end is evaluated again
            assert run(killed).x.tobytes() == whole.x.tobytes()


def test_damage_is_placed_and_what_is_before_it_can_be_read_and_gone_on_from(killed):
    whole = run(killed.with_name("whole"))
    lines = killed.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"t"', b'"u"')
    killed.write_bytes(b"".join(lines))
    end = len(b"".join(lines[:3]))
    with pytest.raises(JournalError, match=f"damaged in line 4, after {end} bytes"):
        run(killed)
    past = read_journal(killed)
    assert past.batches == 2
    assert "line 4" in past.damage
    assert "damaged" in str(past)
    with killed.open("r+b") as file:  # as the error says
        file.truncate(end)
    assert run(killed).x.tobytes() == whole.x.tobytes()


# Full disks, and kills.

SCRIPT = """
    import os, signal, sys
    from blackbox import minimize
    left = int(sys.argv[2])

    def fun(x):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(((x - 0.7) ** 2).sum())

    minimize(fun, method="cma", bounds=[(-5, 5)] * 2, seed=1, budget=40, journal=sys.argv[1])
"""


def start(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals there")
def test_a_killed_process_goes_on(path):
    assert start(SCRIPT, path, 17).returncode == -9
    kept = read_journal(path)
    assert 0 < kept.evaluations <= 16
    assert kept.reason is None
    assert path.with_name("run.journal.lock").exists()  # of the dead: it holds nobody back
    assert run(path).x.tobytes() == run(path.with_name("whole")).x.tobytes()
    assert read_journal(path).evaluations == 40


def test_a_full_disk_is_said_and_loses_nothing(path):
    pytest.importorskip("resource")
    code = """
    import resource, sys
    from blackbox import JournalError, Optimizer, minimize
    size = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fun(x):
        return float(((x - 0.7) ** 2).sum())

    try:
        minimize(fun, method="cma", bounds=[(-5, 5)] * 2, seed=1, budget=40, journal=sys.argv[1])
    except JournalError as error:
        print(error)
        print(error.result.nfev)
    run = Optimizer("cma", bounds=[(-5, 5)] * 2, seed=1, budget=40, journal=sys.argv[1] + "2")
    told = 0
    try:
        while not run.stopped:
            values = [fun(x) for x in run.ask()]
            run.tell(values)
            told += len(values)
    except JournalError:
        assert run.evaluations == told
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while not run.stopped:  # there is room again
        run.tell([fun(x) for x in run.ask()])
    run.close()
    """
    size = 1600
    found = start(code, path, size)
    assert "can't be written any more: File too large" in found.stdout, found.stderr
    assert "call again with the same arguments" in found.stdout
    kept = read_journal(path)
    assert 0 < kept.evaluations <= int(found.stdout.split()[-1]) < 40
    assert kept.damage is None
    assert path.stat().st_size <= size
    assert run(path).nfev == 40
    other = read_journal(Path(f"{path}2"))
    assert (other.evaluations, other.damage) == (40, None)
    assert other.best_value == read_journal(path).best_value
