"""The pairing string: what is one, and that nothing else is taken for one."""

from __future__ import annotations

import hashlib

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from protocol import pairing
from protocol.errors import BadArgument
from protocol.pairing import Pairing

SERVER, CLIENT = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
"""The keys of the pages on CurveZMQ."""
TEXT = Pairing(SERVER, CLIENT).text()


def test_there_and_back():
    assert pairing.parse(TEXT) == Pairing(SERVER, CLIENT)
    assert len(TEXT) == 92


def test_keys_of_libzmq_are_keys():
    for _ in range(20):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        assert pairing.parse(Pairing(public, secret).text()) == Pairing(public, secret)


def test_line_breaks_of_a_terminal_do_not_matter():
    assert pairing.parse(f"  {TEXT[:50]}\r\n  {TEXT[50:]}\n") == Pairing(SERVER, CLIENT)


def test_no_picture_of_it_shows_the_secret():
    for shown in (repr(Pairing(SERVER, CLIENT)), str(Pairing(SERVER, CLIENT)), f"{[Pairing(SERVER, CLIENT)]}"):
        assert CLIENT not in shown
        assert SERVER in shown


MALFORMED = {
    "nothing": ("", "does not begin with"),
    "another prefix": ("SL2:" + TEXT[4:], "does not begin with"),
    "the end is missing": (TEXT[:-1], "91 characters; 92 are expected"),
    "twice": (TEXT + TEXT, "184 characters"),
    "two swapped": (TEXT[:10] + TEXT[11] + TEXT[10] + TEXT[12:], "checksum"),
    "not ASCII": (TEXT[:-8] + "\u0667" * 8, "checksum"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_wrong_is_said_without_the_string(name):
    text, said = MALFORMED[name]
    with pytest.raises(BadArgument, match=said) as caught:
        pairing.parse(text)
    assert caught.value.sentence.endswith(".")
    assert "backend pairing" in caught.value.remedy
    assert CLIENT not in str(caught.value)


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_every_mistyped_character_is_found(at, character):
    mistyped = TEXT[:at] + character + TEXT[at + 1 :]
    if mistyped == TEXT:
        assert pairing.parse(mistyped) == Pairing(SERVER, CLIENT)
    else:
        with pytest.raises(BadArgument) as caught:
            pairing.parse(mistyped)
        assert CLIENT[:20] not in str(caught.value)


@given(st.one_of(st.text(), st.text().map(lambda text: pairing.PREFIX + text)))
def test_other_texts_are_refused_in_a_sentence(text):
    with pytest.raises(BadArgument):
        pairing.parse(text)


@pytest.mark.parametrize("key", ["#" * 40, "~" * 40, "\u00e9" * 40, "#####" + "0" * 35])
def test_what_is_no_key_is_refused_even_with_its_checksum(key):
    assert not pairing.is_key(key)
    body = f"{pairing.PREFIX}{SERVER}{key}"
    with pytest.raises(BadArgument, match="no valid keys"):
        pairing.parse(body + hashlib.sha256(body.encode()).hexdigest()[:8])
