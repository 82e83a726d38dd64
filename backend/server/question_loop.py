"""The loop of a process that answers questions about results, one after the other.

Started by the server as ``PROGRAM STORE FOLDER``; exits at the end of its standard input.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from msgspec.structs import replace

from backend.progress import Cancelled, Progress
from backend.server.child_pipes import listen, take_stdout
from backend.server.question_protocol import Question, Reply, Withdrawal, pack_reply, unpack_line
from protocol.errors import Fault, Refused, Unavailable
from protocol.messages import Error, Working
from protocol.store import Store

PERIOD = 0.2
"""Least time between two reports of progress, in seconds."""
WITHDRAWN = Error(Refused.code, "The question was withdrawn.")

Answer = Callable[[Question, Progress], Reply]


def answer_questions(make: Callable[[Store, Path], Answer]) -> None:
    """Answer the questions of the server; never returns.

    Args:
        make: returns a function that answers questions, for a store with results and a working folder. The function
            raises a Fault for a question that it cannot answer.
    """
    channel = take_stdout()
    folder = Path(sys.argv[-1])
    answer = make(Store(Path(sys.argv[-2])), folder)
    questions: SimpleQueue[Question] = SimpleQueue()
    withdrawn: set[int] = set()

    def take(line: bytes) -> None:
        taken = unpack_line(line)
        if isinstance(taken, Withdrawal):
            withdrawn.add(taken.number)
        else:
            questions.put(taken)

    listen(take)
    while True:
        question = questions.get()
        if question.number in withdrawn:
            reply = Reply(question.number, WITHDRAWN)
        else:
            reply = reply_to(question, answer, _teller(channel, question.number, withdrawn))
        _write(channel, pack_reply(without_paths(reply, folder)))
        withdrawn.discard(question.number)


def reply_to(question: Question, answer: Answer, tell: Progress) -> Reply:
    """Return the answer, or an error about the question or the result."""
    begin = time.perf_counter()
    try:
        return answer(question, tell)
    except Cancelled:
        return Reply(question.number, WITHDRAWN)
    except Fault as fault:
        return Reply(question.number, Error(fault.code, fault.sentence[:2000], fault.remedy[:2000]))
    except OSError as error:
        reason = f"The server cannot read or write the result: {error.strerror}."
        return Reply(question.number, Error(Unavailable.code, reason))
    finally:
        print(f"{type(question.wanted).__name__}: {time.perf_counter() - begin:.3f} s", file=sys.stderr)


def without_paths(reply: Reply, folder: Path) -> Reply:
    """Return the reply, in an error with words for the working folders of results: a client does not know these."""
    if not isinstance(reply.said, Error):
        return reply
    path = re.compile(re.escape(str(folder)) + r"(/results)?/[0-9a-f]{64}")

    def worded(text: str) -> str:
        return path.sub("the result", path.sub("The result", text, count=1) if path.match(text) else text)

    return replace(
        reply, said=replace(reply.said, sentence=worded(reply.said.sentence), remedy=worded(reply.said.remedy))
    )


def _teller(channel: BinaryIO, number: int, withdrawn: Collection[int]) -> Progress:
    """Return what tells the server how far a question is, and ends the work on one that was withdrawn."""
    told = 0.0

    def tell(stage: str, fraction: float, note: str = "") -> None:
        nonlocal told
        if number in withdrawn:
            raise Cancelled
        if time.monotonic() - told >= PERIOD:
            told = time.monotonic()
            note = note or stage
            _write(channel, pack_reply(Reply(number, Working(min(max(float(fraction), 0.0), 1.0), note[:2000]))))

    return tell


def _write(channel: BinaryIO, data: bytes) -> None:
    """Write all of ``data``; an unbuffered write may be partial."""
    while data:
        data = data[channel.write(data) :]
