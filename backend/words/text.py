"""Reads lists of words."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import BadArgument
from protocol.lists import first_of
from protocol.words import MAX_WORDS, check_word

MAX_FILE = 1 << 20
"""Most bytes of a list of words."""


def read_words(file: Path) -> list[str]:
    """Return the words of a text file, one per line; empty lines and repeated words are ignored.

    Raises:
        BadArgument: if the file cannot be read, contains no word or too many, or a word is refused; the error names
            the line.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadArgument(f"The list of words {file} cannot be read: {reason}.", "Give a text file.") from error
    words: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                words.append(check_word(line))
            except BadArgument as error:
                raise BadArgument(f"Line {number} of {file}: {error.sentence}", error.remedy) from error
    words = list(dict.fromkeys(words))
    if not words:
        raise BadArgument(f"The list of words {file} is empty.", "Write one name per line.")
    if len(words) > MAX_WORDS or len(data) > MAX_FILE:
        raise BadArgument(
            f"The list of words {file} is too long; at most {MAX_WORDS} words are accepted. It begins with "
            f"{first_of(words, 3)}.",
            "Use several shorter lists.",
        )
    return words
