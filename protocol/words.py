"""Checks words that objects are searched for or named with, before a detector gets them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from protocol.errors import BadArgument
from protocol.field_types import MAX_WORD, PHRASE

MAX_WORDS = 1000
"""Most words of a list."""
MAX_SENT_BYTES = 48 << 10
"""Most bytes, as UTF-8, of a list of words that is sent to a server."""
SEPARATOR = "."
"""Grounding DINO reads this character as the end of a phrase."""


def check_word(word: str) -> str:
    """Return a word or phrase in lower case with single spaces.

    Raises:
        BadArgument: if it is empty, too long, contains the separator of phrases, or is not in Latin letters.
    """
    plain = " ".join(unicodedata.normalize("NFC", word).split()).lower().strip(SEPARATOR).strip()
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
    strange = next((each for each in plain if not re.match(PHRASE, each)), None)
    if strange is not None:
        raise BadArgument(
            f"The text {plain!r} contains the character {strange!r}, which detectors do not read.",
            "Give the name of the object in English.",
        )
    return plain


def check_words(words: Sequence[str]) -> list[str]:
    """Return the words of a list that is sent to a server, each as :func:`check_word` does, without repeated ones.

    Raises:
        BadArgument: if the list is empty or too long, or a word is refused; the error has the word's place in the list.
    """
    if len(words) > MAX_WORDS:
        raise BadArgument(
            f"The list has {len(words)} words; at most {MAX_WORDS} are accepted.", "Use several shorter lists."
        )
    checked: list[str] = []
    for number, word in enumerate(words, 1):
        try:
            checked.append(check_word(word))
        except BadArgument as error:
            raise BadArgument(f"Word {number} of the list: {error.sentence}", error.remedy) from error
    if not checked:
        raise BadArgument("The list of words is empty.", "Give one name per object.")
    unique = list(dict.fromkeys(checked))
    size = sum(len(word.encode()) + len('"",') for word in unique)
    if size > MAX_SENT_BYTES:
        raise BadArgument(
            f"The list of words has {size} bytes; a server accepts at most {MAX_SENT_BYTES}.",
            "Use several shorter lists.",
        )
    return unique
