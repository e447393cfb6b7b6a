"""The other end of `blackbox.guarded`: a child interpreter that evaluates what its pipe brings.

It is run as a file and imports nothing of ours, so that it is ready at once. It reads from where
its standard input was and writes to where its standard output was; what the objective prints goes
to the standard error.
"""

import contextlib
import json
import os
import pickle
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

MAGIC = b"\0blackbox child\n"
"""Comes first: whatever was printed before it, as the interpreter started, is nobody's answer."""
REQUEST = struct.Struct("<cBQ")
"""What it is, which function is meant, and how many bytes follow."""
REPLY = struct.Struct("<cQ")
DOUBLE = struct.Struct("<d")
HELLO, FUNCTION, POINT, COMPLEX, ANSWER = b"H", b"F", b"X", b"C", b"A"
READY, VALUE, OBJECT, RAISED, UNREADABLE, QUESTION = b"r", b"v", b"p", b"e", b"u", b"q"


Functions = dict[int, Callable[[Any], Any]]


class RemoteError(RuntimeError):
    """Stands for an exception that can't be sent from one process to another."""


class RemoteTraceback(Exception):
    """Where an exception was raised, in another process; its cause."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"


def pack_error(error: BaseException) -> tuple[bytes, str]:
    """Return an exception so that it can travel, and its traceback as a text."""
    cause = error.__cause__
    if isinstance(cause, RemoteTraceback):
        text = cause.text
    else:
        text = "".join(traceback.format_exception(error))
    # Many can be written and not read: those that want more than their `args` to be made again.
    parts = type(error), error.args, vars(error)
    for form in (error, parts):
        with contextlib.suppress(Exception):
            import cloudpickle

            packed: bytes = cloudpickle.dumps(form)
            _remake(pickle.loads(packed))
            return packed, text
    name = type(error).__name__
    with contextlib.suppress(Exception):  # its own text may fail
        name = f"{name}: {error}"
    return pickle.dumps(name), text


def _remake(form: Any) -> BaseException:
    if isinstance(form, BaseException):
        return form
    if isinstance(form, str):
        return RemoteError(form)
    kind, args, state = form
    error: BaseException = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def unpack_error(packed: bytes, text: str) -> BaseException:
    """Return the exception again, with where it was raised as its cause."""
    try:
        error = _remake(pickle.loads(packed))
    except Exception:
        error = RemoteError(text.strip().rpartition("\n")[2])
    error.__cause__ = RemoteTraceback(text)
    return error


def main() -> None:
    """Answer requests until there are no more."""
    requests, replies = _PIPES[:] = _take_pipes()
    try:
        replies.write(MAGIC)
        replies.flush()
    except BrokenPipeError:  # given up before it was ready: nothing to say
        os._exit(1)
    functions: Functions = {}
    alive = _Alive()
    while len(header := requests.read(REQUEST.size)) == REQUEST.size:
        what, slot, size = REQUEST.unpack(header)
        data = requests.read(size)
        if len(data) < size:
            break
        alive.busy = True
        if what in (POINT, COMPLEX):
            reply, payload = _evaluate(functions[slot], data, float if what == POINT else complex)
        elif what == FUNCTION:
            reply, payload = _load(functions, slot, data)
        else:
            _settle_in(json.loads(data), alive)
            continue
        alive.busy = False
        try:
            replies.write(REPLY.pack(reply, len(payload)) + payload)
            replies.flush()
        except BrokenPipeError:  # nobody is there any more
            alive.end()


_PIPES: list[BinaryIO] = []


def ask(question: bytes) -> bytes:
    """Ask the parent, from within the function that it has called here.

    The function finds this one as ``sys.modules["__main__"].ask``; what it was sent as has the
    ``answer`` (see `blackbox.guarded.Answering`).
    """
    requests, replies = _PIPES
    replies.write(REPLY.pack(QUESTION, len(question)) + question)
    replies.flush()
    header = requests.read(REQUEST.size)
    if len(header) < REQUEST.size:
        raise EOFError("the process that asked for this evaluation has ended")
    return requests.read(REQUEST.unpack(header)[2])


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: neither the objective nor what it starts has them."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDWR)
    os.dup2(empty, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no standard error
        os.dup2(empty, 1)
    os.close(empty)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return requests, replies


def _settle_in(hello: dict[str, Any], alive: "_Alive") -> None:
    sys.path[:] = hello["path"]
    sys.argv[:] = hello["argv"]
    alive.watch(hello["parent"], hello["idle"])


def _load(functions: Functions, slot: int, data: bytes) -> tuple[bytes, bytes]:
    try:
        function, args = pickle.loads(data)
    except BaseException as error:
        return UNREADABLE, pickle.dumps(pack_error(error))
    functions[slot] = (lambda x: function(x, *args)) if args else function
    return READY, b""


def _evaluate(
    function: Callable[[Any], Any], data: bytes, dtype: type[complex]
) -> tuple[bytes, bytes]:
    import numpy as np

    try:
        value = function(np.frombuffer(bytearray(data), dtype))
        if isinstance(value, float):  # numpy's own too
            return VALUE, DOUBLE.pack(value)
        return OBJECT, pickle.dumps(value)
    except BaseException as error:  # `SystemExit` too: what that means is not ours to say
        return RAISED, pickle.dumps(pack_error(error))


class _Alive:
    """Ends this process when it is of no more use: its parent is gone, or there is nothing to do.

    Between two evaluations the end of the pipe says so; within a long one this does, where the
    system gives orphans another parent.
    """

    busy = True

    def watch(self, parent: int, idle: float) -> None:
        """Look once a second, from a thread of its own."""
        threading.Thread(target=self._watch, args=(parent, idle), daemon=True).start()

    def _watch(self, parent: int, idle: float) -> None:
        since = time.monotonic()
        while True:
            time.sleep(1.0)
            if os.name == "posix" and os.getppid() != parent:
                self.end()
            if self.busy:
                since = time.monotonic()
            elif time.monotonic() - since > idle:
                self.end()

    def end(self) -> None:
        """End at once, with all that the objective has started."""
        if os.name == "posix" and os.getpgrp() == os.getpid():
            with contextlib.suppress(OSError):
                os.killpg(0, signal.SIGKILL)
        os._exit(1)


if __name__ == "__main__":
    main()
