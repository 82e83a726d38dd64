"""The pairing string: the keys with which a client and a server authenticate and encrypt, as one text.

It is ``SL1:``, the server's public key, the client's secret key and eight digits of a SHA-256 over both. Keys are
CurveZMQ keys (https://rfc.zeromq.org/spec/26), 32 bytes as 40 characters of Z85 (https://rfc.zeromq.org/spec/32), which
has neither spaces nor quotes.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from protocol.errors import BadArgument

PREFIX = "SL1:"
KEY = 40
CHECK = 8
"""Characters of the checksum."""

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_DIGITS = {character: value for value, character in enumerate(_Z85)}
_REMEDY = "Run 'backend pairing' on the server's machine and copy the whole string."


@dataclass(frozen=True)
class Pairing:
    """The keys that a client needs to connect to a server.

    Attributes:
        server: the server's public key, Z85.
        client: the client's secret key, Z85; excluded from ``repr``, so that it does not appear in logs.
    """

    server: str
    client: str = field(repr=False)

    def text(self) -> str:
        """Return the pairing string, which is a secret."""
        body = f"{PREFIX}{self.server}{self.client}"
        return body + _check(body)


def parse(text: str) -> Pairing:
    """Parse a pairing string; spaces and line breaks from a terminal are ignored.

    Raises:
        BadArgument: if it is not a pairing string; the message never contains the text.
    """
    text = "".join(text.split())
    if not text.startswith(PREFIX):
        raise BadArgument(f"The pairing string is not valid: it does not begin with '{PREFIX}'.", _REMEDY)
    if len(text) != len(PREFIX) + 2 * KEY + CHECK:
        raise BadArgument(
            f"The pairing string has {len(text)} characters; {len(PREFIX) + 2 * KEY + CHECK} are expected.", _REMEDY
        )
    body, check = text[:-CHECK], text[-CHECK:]
    if not hmac.compare_digest(_check(body).encode(), check.encode("utf-8", "backslashreplace")):
        raise BadArgument("The pairing string was copied incorrectly: its checksum does not match.", _REMEDY)
    server, client = body[len(PREFIX) : -KEY], body[-KEY:]
    if not (is_key(server) and is_key(client)):
        raise BadArgument("The pairing string contains no valid keys.", _REMEDY)
    return Pairing(server, client)


def is_key(text: str) -> bool:
    """Whether a text is 32 bytes in Z85."""
    return len(text) == KEY and all(_is_word(text[at : at + 5]) for at in range(0, KEY, 5))


def _is_word(five: str) -> bool:
    """Whether five characters are 32 bits in Z85."""
    value = 0
    for character in five:
        if character not in _DIGITS:
            return False
        value = value * len(_Z85) + _DIGITS[character]
    return value < 1 << 32


def _check(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "backslashreplace")).hexdigest()[:CHECK]
