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
FolderPath = Annotated[str, Meta(max_length=4096)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]

Value = bool | int | float | Name
"""The types that a method's setting can have."""
