"""Evaluation in child interpreters: what hangs or crashes there costs one evaluation.

A child is started by `subprocess`, never by fork, and spoken to through its own pipes: the function
goes there once, by cloudpickle, then points go there and values come back. A child that takes too
long is killed, with all that it has started; one that dies is replaced. See `blackbox.child` for
its side.
"""

import contextlib
import json
import logging
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Protocol, Self, cast

from blackbox import child
from blackbox.failures import Failed, describe
from blackbox.types import Array

LOG = logging.getLogger("blackbox")

START_LIMIT = 120.0
"""Seconds in which a child has to be ready, the function and all that it imports included."""
STARTS = 5
"""Children in a row that may end before they are ready."""
GRACE = 1.0
"""Seconds in which an idle child may end by itself."""
LOOK = 1.0
"""Seconds between two looks at whether busy children are still there."""
IDLE_LIMIT = 600.0
"""Seconds after which a child that has nothing to do ends; another is started when needed."""
PROGRAM = str(Path(child.__file__).resolve())

Reply = tuple[bytes, bytes] | None


class Task(Protocol):
    """A function that a child can be sent: its bytes, and what tells it from others."""

    slot: int
    key: bytes

    @property
    def payload(self) -> bytes:
        """The function and its further arguments, as cloudpickle writes them."""
        ...


class Answering(Task, Protocol):
    """A function that may ask, by `blackbox.child.ask`, while it evaluates."""

    def answer(self, key: Any, question: bytes) -> bytes:
        """Answer what it asks at the point of this key."""
        ...


class WorkerError(RuntimeError):
    """Nobody can evaluate: processes do not start, or what runs them has broken down."""


class Crew:
    """Child interpreters on this machine, which evaluate the points of a batch.

    They start when they are needed. Use it in a ``with`` statement, or close it; it serves one
    thread.

    Parameters
    ----------
    count
        How many children, at most.
    timeout
        Seconds for one evaluation; None for no limit. It may be set anew.
    """

    def __init__(self, count: int = 1, timeout: float | None = None) -> None:
        self._count = count
        self.timeout = timeout
        self._replies: SimpleQueue[tuple[_Child, Reply]] = SimpleQueue()
        self._idle: list[_Child] = []
        self._busy: dict[_Child, _Job] = {}
        self._todo: deque[_Job] = deque()
        self._done: deque[tuple[Any, Any]] = deque()
        self._failed_starts = 0

    def map(self, task: Task, points: Array) -> Iterator[Any]:
        """Yield the value at each point, (k, n), in order, or a `Failed` in its place.

        A point whose child ended is given to another one, once.

        Raises
        ------
        WorkerError
            If no child starts, or none can read the function.
        """
        given: dict[int, Any] = {}
        try:
            for row, x in enumerate(points):
                self.give(task, row, x)
            for row in range(len(points)):
                while row not in given:
                    done, outcome = self.take()
                    given[done] = outcome
                yield given.pop(row)
        finally:  # nobody wants what is still under way after an exception
            self.drop()

    @property
    def width(self) -> int:
        """How many points it evaluates at once."""
        return self._count

    def give(self, task: Task, key: Any, x: Array) -> None:
        """Take on one more point, (n,), to be known by a key."""
        what = child.COMPLEX if x.dtype.kind == "c" else child.POINT
        self._todo.append(_Job(key, task, what, x.tobytes()))
        self._begin_all()

    def take(self) -> tuple[Any, Any]:
        """Wait for any of the points; return its key, and its value or a `Failed`.

        Raises
        ------
        WorkerError
            As `map`.
        """
        while not self._done:
            self._begin_all()
            for job, outcome in self._attend():
                if outcome is _AGAIN:
                    self._todo.appendleft(job)
                else:
                    self._done.append((job.key, outcome))
        return self._done.popleft()

    def drop(self) -> None:
        """Forget all points; what is under way is ended."""
        self._todo.clear()
        self._done.clear()
        self._dismiss(list(self._busy))

    def close(self) -> None:
        """End all children."""
        self.drop()
        for each in self._idle:
            each.release()
        while self._idle:
            self._idle.pop().end(GRACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_all(self) -> None:
        while self._todo and len(self._busy) < self._count:
            self._begin(self._todo.popleft())

    def _begin(self, job: "_Job") -> None:
        """Give a job to an idle child, or a new one."""
        while self._idle and not self._idle[-1].running:
            self._idle.pop().end()
        worker = self._idle.pop() if self._idle else _Child(self._replies)
        self._busy[worker], task = job, job.task
        job.loading = worker.keys.get(task.slot) != task.key
        if job.loading:
            job.deadline = time.monotonic() + START_LIMIT
            worker.send(child.FUNCTION, task.slot, task.payload)
        else:
            self._ask(worker, job)

    def _ask(self, worker: "_Child", job: "_Job") -> None:
        job.deadline = time.monotonic() + (self.timeout or math.inf)
        worker.send(job.what, job.task.slot, job.data)

    def _attend(self) -> list[tuple["_Job", Any]]:
        """Wait for something to happen; return the jobs that came to an end by it."""
        first = min(job.deadline for job in self._busy.values())
        try:
            wait = max(0.0, min(LOOK, first - time.monotonic()))
            worker, reply = self._replies.get(timeout=wait)
        except Empty:
            return self._look_after()
        job = self._busy.get(worker)
        if job is None:  # it was dismissed
            return []
        if reply is None:
            return [(job, self._bury(worker, job))]
        what, data = reply
        if what == child.UNREADABLE:
            raise _unreadable(data)
        if what == child.QUESTION:
            answer = cast(Answering, job.task).answer(job.key, data)
            worker.send(child.ANSWER, job.task.slot, answer)
            return []
        if job.loading:
            worker.keys[job.task.slot], job.loading, self._failed_starts = job.task.key, False, 0
            self._ask(worker, job)
            return []
        self._idle.append(worker)
        del self._busy[worker]
        return [(job, _read(what, data))]

    def _look_after(self) -> list[tuple["_Job", Any]]:
        """Find children that are overdue, or ended without a word (what they began holds on)."""
        found: list[tuple[_Job, Any]] = []
        now = time.monotonic()
        for worker, job in list(self._busy.items()):
            if now >= job.deadline and not job.loading:
                self._dismiss([worker])
                late = Failed("timeout", f"it took longer than timeout={self.timeout:g} seconds")
                found.append((job, late))
            elif now >= job.deadline or not worker.running:
                found.append((job, self._bury(worker, job)))
        return found

    def _bury(self, worker: "_Child", job: "_Job") -> Any:
        """Replace a child that ended; return what becomes of its job."""
        self._dismiss([worker])
        if job.loading:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise WorkerError(
                    f"no process could be made ready to evaluate: {worker.how_it_ended}, "
                    f"{self._failed_starts} times in a row. What it imports may be at fault; "
                    "stderr says more"
                )
            return _AGAIN
        job.lost += 1
        LOG.info("a process ended as it evaluated a point: %s", worker.how_it_ended)
        if job.lost == 1:
            return _AGAIN
        return Failed("lost", f"the process that evaluated it ended, twice: {worker.how_it_ended}")

    def _dismiss(self, workers: "list[_Child]") -> None:
        for worker in workers:
            del self._busy[worker]
            worker.end()


_AGAIN = object()


@dataclass
class _Job:
    """A point to evaluate: by what it is known, its bytes, what they are; and how far that is."""

    key: Any
    task: Task
    what: bytes
    data: bytes
    loading: bool = True
    deadline: float = math.inf
    lost: int = 0


class _Child:
    """A child interpreter. A thread carries requests there and replies back: nobody else waits."""

    def __init__(self, replies: "SimpleQueue[tuple[_Child, Reply]]") -> None:
        self.keys: dict[int, bytes] = {}
        self._replies = replies
        self._requests: SimpleQueue[tuple[bytes, ...] | None] = SimpleQueue()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is not for it, and all that it starts ends with it
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise WorkerError(f"no process to evaluate in can be started: {error}") from error
        self._thread = threading.Thread(target=self._carry, name="blackbox-child", daemon=True)
        self._thread.start()

    def send(self, what: bytes, slot: int, data: bytes) -> None:
        """Send a request; the reply comes through the queue, None where there is none any more."""
        self._requests.put((child.REQUEST.pack(what, slot, len(data)), data))

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def how_it_ended(self) -> str:
        """For people."""
        code = self._process.returncode
        if code is None:
            return "it did not answer"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def release(self) -> None:
        """Let it end by itself."""
        self._requests.put(None)

    def end(self, grace: float = 0.0) -> None:
        """End it and all that it has started, after some seconds in which it may do so itself."""
        process = self._process
        if grace:
            self._thread.join(grace)
        if process.returncode is None:  # until it is waited for, its number is nobody else's
            if hasattr(os, "killpg"):
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        self.release()
        self._thread.join(GRACE)

    def _carry(self) -> None:
        requests, replies = (
            cast(IO[bytes], self._process.stdin),
            cast(IO[bytes], self._process.stdout),
        )
        try:
            hello = {
                "path": [each for each in sys.path if isinstance(each, str)],
                "argv": sys.argv,
                "parent": os.getpid(),
                "idle": IDLE_LIMIT,
            }
            data = json.dumps(hello).encode()
            requests.write(child.REQUEST.pack(child.HELLO, 0, len(data)) + data)
            requests.flush()
            _skip_to_magic(replies)
            while (request := self._requests.get()) is not None:
                for part in request:
                    requests.write(part)
                requests.flush()
                what, size = child.REPLY.unpack(_read_all(replies, child.REPLY.size))
                self._replies.put((self, (what, _read_all(replies, size))))
            requests.close()
            replies.read()  # until it has ended
        except (OSError, EOFError):
            self._replies.put((self, None))
        finally:
            with contextlib.suppress(OSError):  # what could not be written any more
                requests.close()
            replies.close()


def _skip_to_magic(pipe: IO[bytes]) -> None:
    """Read past what was printed as the interpreter started."""
    seen = b""
    while not seen.endswith(child.MAGIC):
        seen = seen[-len(child.MAGIC) :] + _read_all(pipe, 1)


def _read_all(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _read(what: bytes, data: bytes) -> Any:
    if what == child.VALUE:
        return child.DOUBLE.unpack(data)[0]
    if what == child.OBJECT:
        return pickle.loads(data)
    return Failed("raised", error=child.unpack_error(*pickle.loads(data)))


def _unreadable(data: bytes) -> WorkerError:
    error = child.unpack_error(*pickle.loads(data))
    told = WorkerError(
        f"the objective can't be read in another process: {describe(error)}. Define it in the "
        "script itself, or in a module that Python finds (on sys.path)"
    )
    told.__cause__ = error
    return told
