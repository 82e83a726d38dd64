"""Authentication without encryption: programs of the user who started the server prove that they know a token.

The server then proves in the same way that this user started it. See :mod:`protocol.local_token`.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence

from backend.server.private import write_private
from protocol.address import Address
from protocol.errors import Refused, Unavailable
from protocol.local_token import new_nonce, prove_server, proves, read_token, token_file
from protocol.messages import Challenge, Hello, Proof

FEATURE = "proof"
"""The feature of clients that can answer a challenge."""
MAX_PENDING = 256
"""Most challenges that are not answered yet; beyond that, the oldest is dropped."""


class LocalGate:
    """Challenges clients, and checks their answers.

    Args:
        tokens: the valid ones: that of the user who started the server, and others that are as private.
        address: that clients connect to.
    """

    def __init__(self, tokens: Sequence[str], address: Address) -> None:
        self._tokens = tuple(tokens)
        self._address = address
        self._pending: OrderedDict[int, tuple[str, Hello]] = OrderedDict()

    def challenge(self, hello: Hello, connection: int) -> Challenge:
        """Return the answer to a hello.

        Raises:
            Refused: if the client is too old to answer it.
        """
        if FEATURE not in hello.features:
            raise Refused(
                f"{hello.client} cannot prove that it belongs to the user who started this server: it is too old.",
                "Update the add-on.",
            )
        nonce = new_nonce()
        self._pending[connection] = nonce, hello
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        return Challenge(nonce)

    def admitted(self, proof: Proof, connection: int) -> tuple[Hello, str]:
        """Return the hello of a client that answers its challenge, and the token that it knows.

        Raises:
            Refused: if the answer is wrong, or there was no challenge.
        """
        nonce, hello = self._pending.pop(connection, ("", None))
        known = [token for token in self._tokens if proves(proof.mac, token, nonce, self._address)]
        if hello is None or not known:
            raise Refused(
                "Only programs of the user who started this server may connect to it.",
                "Start it with: backend serve --encrypt, and enter the pairing string that 'backend pairing' prints.",
            )
        return hello, known[0]

    def proof(self, challenge: Challenge, token: str) -> Proof:
        """Return the proof that this server also knows the client's token."""
        return Proof(prove_server(token, challenge.nonce, self._address))


def load_or_make_token() -> str:
    """Return the token of this user; make it if it does not exist.

    Raises:
        Unavailable: if it cannot be stored.
    """
    try:
        path = token_file()
        token = read_token(path)
        if token is None:
            token = secrets.token_hex(32)
            write_private(path, f"{token}\n", replace=True)
            token = read_token(path)
    except (OSError, RuntimeError) as error:
        raise _no_token(getattr(error, "strerror", None) or str(error)) from error
    if token is None:
        raise _no_token("other users can read files on its disk")
    return token


def _no_token(reason: str) -> Unavailable:
    return Unavailable(
        f"The token that this user's programs connect with cannot be stored in ~/.splatlift/local.token: {reason}.",
        "Start the server with --encrypt; clients then need the pairing string.",
    )
