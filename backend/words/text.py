"""Checks words before a detector gets them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from protocol.errors import BadArgument
from protocol.lists import first_of

MAX_WORD = 100
"""Most characters of a word; a detector reads 16 tokens or more."""
MAX_WORDS = 1000
MAX_FILE = 1 << 20
"""Most bytes of a list of words."""
SEPARATOR = "."
"""Grounding DINO reads this character as the end of a phrase."""


def check_word(word: str) -> str:
    """Return a word or phrase in lower case with single spaces.

    Raises:
        BadArgument: if it is empty, too long, contains the separator of phrases, or is not in Latin letters.
    """
    plain = " ".join(unicodedata.normalize("NFC", word).split()).lower().strip(SEPARATOR)
    if not plain:
        raise BadArgument("The text is empty.", 'Give the name of an object, such as "green apple".')
    if len(plain) > MAX_WORD:
        raise BadArgument(
            f"The text has {len(plain)} characters; detectors accept at most {MAX_WORD}.", "Give a shorter name."
        )
    if SEPARATOR in plain:
        raise BadArgument(f"The text {plain!r} contains a full stop.", "Search for one object at a time.")
    letters = [letter for letter in plain if letter.isalpha()]
    foreign = next((each for each in letters if not unicodedata.name(each, "").startswith("LATIN")), None)
    if foreign is not None or not letters:
        what = f"contains {foreign!r}, which is not a Latin letter" if foreign else "contains no letter"
        raise BadArgument(
            f"The text {plain!r} {what}; detectors are trained on English.", "Give the name of the object in English."
        )
    return plain


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
