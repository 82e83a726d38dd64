"""What numpy raises for a broken ``.npy`` file or one in an archive: its reader of headers is Python's own parser."""

from __future__ import annotations

from tokenize import TokenError

BROKEN_ARRAY = (
    OSError,
    ValueError,
    EOFError,
    OverflowError,
    TypeError,
    LookupError,
    SyntaxError,
    RecursionError,
    MemoryError,
    TokenError,
)
