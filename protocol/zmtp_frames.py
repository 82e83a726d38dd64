"""Counts the frames that a peer sends, by ZMTP 3 (https://rfc.zeromq.org/spec/37), without reading their content.

The server counts what its clients send, and a client what its server sends.

libzmq keeps the frames of a message until the last one has arrived; it limits the length of a frame, but not the number
of frames. So they are counted here. Without encryption a frame shows whether it is a command of the protocol. With
CURVE, commands and messages cannot be told apart after the handshake, nor whether another frame follows.
"""

from __future__ import annotations

from protocol.errors import BadFrames
from protocol.wire import MAX_ARRAYS, MAX_FRAME, MAX_MESSAGE

GREETING = 64
"""Bytes of the greeting that each side sends first."""
SIGNATURE = 10
"""Bytes of the greeting that a peer sends before it has received anything."""
FRAME_COST = 128
"""Bytes counted for each frame in addition to its length: about the memory that libzmq needs for a short one."""
SEAL = 33
"""Bytes that CURVE adds to a frame."""
CREDIT = MAX_MESSAGE + (1 + MAX_ARRAYS) * (FRAME_COST + SEAL)
"""Most bytes that a peer may have in flight: those of the longest message. What CURVE adds is not counted; its share of
the credit is for heartbeats that libzmq sends between the frames."""
MAX_COMMAND = 1024
"""Most bytes of a command; the longest one in use is INITIATE of CURVE."""

FORGIVEN = 256
"""Bytes per second that are subtracted from those of an encrypted peer in flight: the heartbeats that libzmq sends in
older programs are counted, but are never received as messages."""
LONG_READ = 1 << 20
"""Most bytes to read at once."""
_READ = 64 << 10
_SHORT_READ = 4 << 10
_COST_PER_BYTE = FRAME_COST // 2
"""Highest cost of a byte of frames: an empty frame has two bytes."""
_MORE, _LONG, _COMMAND = 1, 2, 4
_HANDSHAKE = (b"\x05READY", b"\x05HELLO", b"\x07WELCOME", b"\x08INITIATE", b"\x05ERROR")
_COMMANDS = (*_HANDSHAKE, b"\x04PING", b"\x04PONG")
"""The commands of both sides. SUBSCRIBE and CANCEL are refused: libzmq would store them like messages."""
_NAME = max(map(len, _COMMANDS))


class FrameCounter:
    """Reads the frames that one peer sends and counts the memory that the receiver needs for them.

    Attributes:
        cost: bytes of all message frames so far without what CURVE adds, plus :data:`FRAME_COST` for each. It equals
            the sum of :func:`cost` over the received messages.
        encrypted: whether the peer uses CURVE; known after the greeting.
    """

    def __init__(self) -> None:
        self.cost = 0
        self.encrypted = False
        self._head = bytearray()
        self._greeted = False
        self._body = 0
        self._charged = False

    @property
    def signed(self) -> bool:
        """Whether the peer has sent the signature of ZMTP 3."""
        return self._greeted or len(self._head) >= SIGNATURE

    def in_long_frame(self, length: int) -> bool:
        """Whether at least ``length`` bytes of the current frame are missing."""
        return self._body >= length

    def feed(self, data: memoryview) -> None:
        """Read the next bytes.

        Raises:
            BadFrames: if they are not ZMTP 3, a frame is too long, or it is a command that neither side sends.
        """
        at = 0
        while at < len(data):
            if self._greeted and not self._head and not self._body:
                at = self._skip_short(data, at)
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
                self.cost += step if self._charged else 0
                at += step
                continue
            need = self._missing()
            step = min(need, len(data) - at)
            self._head += data[at : at + step]
            at += step
            if step == need and not self._missing():
                self._begin()
        if not self._greeted:
            self._check_signature()

    def _skip_short(self, data: memoryview, at: int) -> int:
        """Count the complete short frames quickly; they may come in great numbers."""
        end, seal, cost = len(data), SEAL if self.encrypted else 0, 0
        while at + 2 <= end and data[at] <= _MORE:
            length = data[at + 1]
            if at + 2 + length > end:
                break
            cost += FRAME_COST + max(0, length - seal)
            at += 2 + length
        self.cost += cost
        return at

    def _missing(self) -> int:
        """Return how many bytes are missing until the greeting, or the beginning of a frame, can be read."""
        head = self._head
        if not self._greeted:
            return GREETING - len(head)
        if len(head) < 2:
            return 2 - len(head)
        size = 9 if head[0] & _LONG else 2
        if len(head) < size:
            return size - len(head)
        if head[0] & _COMMAND:
            size += min(_NAME, self._length())
        return max(0, size - len(head))

    def _length(self) -> int:
        return int.from_bytes(self._head[1:9], "big") if self._head[0] & _LONG else self._head[1]

    def _check_signature(self) -> None:
        head = self._head
        if head[:1] not in (b"", b"\xff") or (len(head) >= SIGNATURE and not head[9] & 1):
            raise BadFrames("A connection was made by a program that does not use ZMTP.")
        if len(head) > SIGNATURE and head[10] < 3:
            raise BadFrames("A connection was made with a version of ZMTP before 3.")

    def _begin(self) -> None:
        """Read the greeting, or the beginning of a frame."""
        head = self._head
        if not self._greeted:
            self._check_signature()
            self.encrypted = head[12:32].rstrip(b"\0") == b"CURVE"
            self._greeted = True
            head.clear()
            return
        length = self._length()
        if head[0] > _MORE | _LONG | _COMMAND:
            raise BadFrames("A frame has a flag that ZMTP does not have.")
        if length > (MAX_COMMAND if head[0] & _COMMAND else MAX_FRAME + (SEAL if self.encrypted else 0)):
            raise BadFrames(f"A frame of {length} bytes is too long.")
        if head[0] & _COMMAND:
            size = 9 if head[0] & _LONG else 2
            if not bytes(head[size:]).startswith(_COMMANDS):
                raise BadFrames("A connection sent a command of ZMTP that is not in use.")
            self._charged = False
            self._body = length - (len(head) - size)
        else:
            self._charged = True
            self._body = length
            self.cost += FRAME_COST
            if self.encrypted:
                # CURVE's box and nonce are not part of the message; a shorter frame cannot be decrypted.
                self.cost -= min(SEAL, length)
        head.clear()


class InFlight:
    """The bytes that a peer has sent and that were not received as whole messages.

    Attributes:
        frames: counts what it sends.
    """

    def __init__(self) -> None:
        self.frames = FrameCounter()
        self._received = 0

    @property
    def bytes(self) -> int:
        return self.frames.cost - self._received

    @property
    def full(self) -> bool:
        """Whether nothing more may be read before a message is received."""
        return self.bytes >= CREDIT

    def readable(self) -> int:
        """Return how many bytes to read at most, so that their cost stays close to the credit."""
        if self.frames.in_long_frame(_READ):
            return LONG_READ
        return min(_READ, max(_SHORT_READ, (CREDIT - self.bytes) // _COST_PER_BYTE))

    def take(self, cost: int) -> None:
        """Note that a message of this cost was received."""
        self._received = min(self.frames.cost, self._received + cost)

    def forgive(self, seconds: float) -> None:
        """Subtract the heartbeats of an encrypted peer in this time."""
        if self.frames.encrypted:
            self.take(int(FORGIVEN * seconds))


def cost(lengths: list[int]) -> int:
    """Return the cost of a received message, from the lengths of its frames in bytes."""
    return sum(lengths) + FRAME_COST * len(lengths)
