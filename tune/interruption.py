"""Ctrl-C, SIGTERM and SIGHUP, answered in time even where Python cannot run: in the C code of an import or of Ray."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECOND = 0.5  # seconds after which another Ctrl-C is a person's second one, not an echo of the first
_END = b"\0"  # no signal has this number
_unanswered: list[int] = []  # the signals since the block of `interruptible` began


def raise_if_interrupted() -> None:
    """Raise `KeyboardInterrupt` if a signal has come, for long work to call now and then.

    Where Python ignores exceptions, such as in a `__del__` or a weak reference's callback, it drops the handler's too.
    """
    if _unanswered:
        raise KeyboardInterrupt


@contextmanager
def interruptible(handle: Callable[[int], None], give_up: Callable[[], None], grace: float) -> Iterator[None]:
    """Answer signals for the block.

    A Python signal handler runs between two steps of the interpreter, so it may come late or never. A thread therefore
    learns of each signal from the kernel's side (`signal.set_wakeup_fd`) and ends the process if need be.

    Args:
        handle: Called in the main thread with the signal's number; may raise.
        give_up: Called in a thread if the block has not ended `grace` seconds after the first signal, or at a second
            Ctrl-C. Then the process exits with code 130.
        grace: Seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    received: list[int] = []
    _unanswered.clear()

    def handler(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _unanswered.append(number)
        handle(number)

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watching = threading.Thread(target=_watch, args=(reading, give_up, grace), name="signals", daemon=True)
    watching.start()
    before_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # `nohup` starts a program with SIGHUP ignored: it means to outlive its terminal.
    numbers = [number for number in SIGNALS if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        _unanswered.clear()
        signal.set_wakeup_fd(before_fd)
        os.write(writing, _END)
        watching.join()
        os.close(writing)
        os.close(reading)
        if received and before_fd >= 0:
            os.write(before_fd, bytes(received[:1]))  # the block around this one has to end in time too


def _watch(pipe: int, give_up: Callable[[], None], grace: float) -> None:
    """Read the numbers of signals until the block has ended, or until it is time to give up."""
    first: float | None = None
    while True:
        left = None if first is None else max(0.0, first + grace - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            break
        numbers = os.read(pipe, 1024)
        if 0 in numbers:
            return
        if first is not None and signal.SIGINT in numbers and time.monotonic() - first > SECOND:
            break
        if first is None and not set(SIGNALS).isdisjoint(numbers):
            first = time.monotonic()
    try:
        give_up()
    finally:
        os._exit(EXIT_CODE)


def _forget_parent() -> None:
    """A forked child would write the signals that it gets into its parent's pipe."""
    signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_parent)
