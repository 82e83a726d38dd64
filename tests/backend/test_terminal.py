"""Progress in a terminal, output without a terminal, and interrupts."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from backend.progress import COMPILING, Cancelled
from backend.terminal import plain_lines, progress_bars


def test_compilation_is_printed_once_and_without_delay(capsys):
    show = plain_lines()
    for note in ("view 1", "view 2", COMPILING, COMPILING, "view 3"):
        show("lift", 0.5, note)
    assert capsys.readouterr().err.splitlines() == ["lift 50 % view 1", f"lift 50 % {COMPILING}"]


def test_an_interrupt_whose_exception_is_dropped_cancels_at_the_next_report(capsys):
    with progress_bars() as progress:
        progress("lift", 0.0)
        with suppress(KeyboardInterrupt):  # as ctypes does in a callback
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(Cancelled):
            progress("lift", 0.5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capsys.readouterr().err == "lift 0 %\n"


def test_an_interrupt_is_raised_at_once():
    with pytest.raises(KeyboardInterrupt), progress_bars():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_command_that_ignores_interrupts_still_does():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with progress_bars() as progress:
            signal.raise_signal(signal.SIGINT)
            progress("lift", 0.5)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
