"""Words are checked before a detector gets them: one sentence each."""

from __future__ import annotations

import re

import pytest

from protocol.errors import BadArgument
from protocol.field_types import MAX_WORD, PHRASE
from protocol.words import MAX_SENT_BYTES, MAX_WORDS, check_word, check_words


def test_spaces_and_capitals_do_not_matter() -> None:
    assert check_word("  Green\t Apple. ") == "green apple"
    assert check_word("café 2") == "café 2"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("", "The text is empty"),
        (" . ", "The text is empty"),
        ("яблоко", "not a Latin letter"),
        ("apple 苹果", "not a Latin letter"),
        ("12", "contains no letter"),
        ("cup. plate", "contains a full stop"),
        ("a" * (MAX_WORD + 1), f"at most {MAX_WORD}"),
        ("cup\x00", "contains the character"),
        ("cup\u200b", "contains the character"),
    ],
)
def test_a_bad_word_is_refused_in_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(BadArgument, match=sentence) as caught:
        check_word(word)
    assert caught.value.remedy


def test_words_that_are_sent_fit_the_schema() -> None:
    for word in ("green apple", "café 2", "baker\u2019s bread", "cup & plate (blue)", "a" * MAX_WORD):
        assert re.match(PHRASE, check_word(word))
    for word in ("", "cup.", "яблоко", "a\nb", "a\x7f", "a" * (MAX_WORD + 1)):
        assert not re.match(PHRASE, word)


def test_a_list_of_words_is_checked_as_a_whole() -> None:
    assert check_words(["Cup", "plate", "cup "]) == ["cup", "plate"]
    for words, sentence in (
        ([], "list of words is empty"),
        (["cup", "чашка"], "Word 2 of the list: .*not a Latin letter"),
        (["cup"] * (MAX_WORDS + 1), f"at most {MAX_WORDS}"),
        ([f"{'é' * 90} {n}" for n in range(300)], f"accepts at most {MAX_SENT_BYTES}"),
    ):
        with pytest.raises(BadArgument, match=sentence) as caught:
            check_words(words)
        assert caught.value.remedy
