"""Types of the fields of messages, with their limits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""The identity of a file: the BLAKE3 hash of its content, 32 bytes in hex."""
JobId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
"""A UUID4 in hex, made by the client, so that a repeated submission after a lost reply does not start a second job."""
Token = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Mac = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""An HMAC-SHA256 in hex."""
Name = Annotated[str, Meta(max_length=200)]
Sentence = Annotated[str, Meta(max_length=2000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
MAX_WORD = 100
"""Most characters of a word or phrase; a detector reads 16 tokens or more."""
PHRASE = rf"^[ -\-/-~\u00a1-\u024f\u1e00-\u1eff\u2010-\u201f]{{1,{MAX_WORD}}}\Z"
"""Printable characters of Latin scripts, without control characters and the full stop, which separates phrases."""
Phrase = Annotated[str, Meta(pattern=PHRASE)]
"""A word or phrase from :func:`protocol.words.check_word`."""
Label = Annotated[int, Meta(ge=1, le=65_535)]
"""The number of an object in its result; 0 is the background."""
FolderPath = Annotated[str, Meta(max_length=4096)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]

Value = bool | int | float | Name
"""The types that a method's setting can have."""
