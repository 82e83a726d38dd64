"""The token of the user who runs the tests, as a server makes it."""

from __future__ import annotations

import os

from protocol.local_token import read_token, token_file


def user_token() -> str:
    """Return the token, which is made if there is none."""
    path = token_file()
    if (token := read_token(path)) is None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(32).hex())
        token = read_token(path)
    assert token is not None
    return token
