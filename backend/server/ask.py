"""Asks a server one question and disconnects."""

from __future__ import annotations

import time
from typing import TypeVar

import zmq

from backend.server.local_gate import FEATURE
from protocol.address import Address
from protocol.errors import BadFrames, Unavailable, fault
from protocol.local_token import SERVER_PROOF, UnprovenServer, new_nonce, prove, read_token, server_proves, token_file
from protocol.messages import MAJOR, MINOR, Bye, Challenge, Error, Hello, Message, Proof, Welcome
from protocol.pairing import Pairing
from protocol.wire import decode, encode

PATIENCE = 5.0
"""Longest wait for each answer, in seconds."""
CLIENT = "backend status"

M = TypeVar("M", bound=Message)


def ask(
    address: Address,
    pairing: Pairing | None,
    feature: str,
    question: Message,
    answer: type[M],
    token: str | None = None,
) -> M:
    """Return a server's answer.

    Args:
        address: of its control socket.
        pairing: the keys; None for a server that does not encrypt.
        feature: the protocol feature that the server needs for this question.
        token: proves to a server that does not encrypt that this client may connect; None for this user's token.

    Raises:
        Unavailable: if no server answers, or it is too old.
        UnprovenServer: if a server that does not encrypt does not prove that it knows the token.
        Fault: if the server answers with an error.
    """
    context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IPV6, int(address.is_v6))
        if pairing is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, pairing.server.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, pairing.client.encode())
            socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(pairing.client.encode()))
        socket.connect(str(address))
        welcome = _ask(socket, address, Hello((MAJOR, MINOR), CLIENT, [FEATURE]), Message, 1)
        if isinstance(welcome, Challenge) and pairing is None:
            # Without a token of this user, the server's answer says who may connect.
            token = token or read_token(token_file()) or ""
            welcome = _ask(socket, address, Proof(prove(token, welcome.nonce, address)), Welcome, 2)
        if not isinstance(welcome, Welcome):
            raise BadFrames(f"The server at {address} answered with a {type(welcome).__name__}.")
        if pairing is None:
            _check_server(socket, address, welcome, token or "")
        if feature not in welcome.features:
            raise Unavailable(f"The server at {address} is too old to answer.", "Update the backend there.")
        found = _ask(socket, address, question, answer, 4)
        socket.send_multipart(encode(Bye()))
        return found
    finally:
        context.destroy(linger=200)


def _check_server(socket: zmq.Socket, address: Address, welcome: Welcome, token: str) -> None:
    """Have a server without encryption prove that the same user started it.

    Raises:
        UnprovenServer: if it cannot.
    """
    if SERVER_PROOF in welcome.features and token:
        nonce = new_nonce()
        if server_proves(_ask(socket, address, Challenge(nonce), Proof, 3).mac, token, nonce, address):
            return
    raise UnprovenServer(address)


def _ask(socket: zmq.Socket, address: Address, question: Message, answer: type[M], id: int) -> M:
    socket.send_multipart(encode(question, id=id))
    until = time.monotonic() + PATIENCE
    while socket.poll(max(0, round((until - time.monotonic()) * 1000))):
        message, _, of = decode(socket.recv_multipart())
        if of != id:  # a heartbeat
            continue
        if isinstance(message, Error):
            raise fault(message.code, message.sentence, message.remedy)
        if not isinstance(message, answer):
            raise BadFrames(f"The server at {address} answered with a {type(message).__name__}.")
        return message
    raise Unavailable(
        f"No server answered at {address} within {PATIENCE:g} seconds.",
        "Check the address; a server that encrypts answers only with its pairing string.",
    )
