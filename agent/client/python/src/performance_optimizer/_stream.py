"""One gRPC stream in both directions over HTTP/2, on a socket of its own, without threads: all that this client needs.

grpcio would bring a C core with threads that a fork leaves behind: its children hang or die of SIGSEGV now and then,
which a client that promises never to hurt its host cannot take (README.md has the figures). HTTP/2 itself is h2's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.parse
from collections import deque
from collections.abc import Iterator, Sequence

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from ._address import Address, UnixAddress

_PATH = "/performance_optimizer.control.v1.ControlService/Connect"
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024

# gRPC status codes that matter here.
OK, INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = (
    0,
    3,
    7,
    9,
    10,
    13,
    14,
    16,
)


class StreamEnded(Exception):
    """The stream is over: why, and the gRPC status that says so."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Stream:
    """Raises nothing but `StreamEnded`. Only dialling waits, and no longer than the timeout says."""

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        context: ssl.SSLContext | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._socket = _connect(address, timeout_s, context)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._received = bytearray()
        self._messages: deque[bytes] = deque()
        self._status: tuple[int, str] | None = None
        self._to_write = bytearray()
        self.unsent: deque[bytes] = deque()
        """Messages that the peer has not given us room for yet."""
        self.pongs = 0
        authority = "localhost" if isinstance(address, UnixAddress) else f"{address.host}:{address.port}"
        try:
            self._http.initiate_connection()
            # All that the control channel says fits in there; more room costs nothing.
            self._http.increment_flow_control_window(_MAX_MESSAGE_BYTES)
            self._http.send_headers(
                1,
                [
                    (":method", "POST"),
                    (":scheme", "https" if context else "http"),
                    (":path", _PATH),
                    (":authority", authority),
                    ("te", "trailers"),
                    ("content-type", "application/grpc"),
                    ("user-agent", "performance-optimizer-python"),
                    *metadata,
                ],
            )
            self._flush()
        except StreamEnded:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._to_write)

    @property
    def has_read_ahead(self) -> bool:
        """A TLS socket may hold bytes that no poll can see."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def send(self, message: bytes) -> None:
        self.unsent.append(b"\0" + len(message).to_bytes(4, "big") + message)
        self._fill()

    def ping(self) -> None:
        with _http_errors():
            self._http.ping(b"perfopt!")
        self._flush()

    def end(self) -> None:
        """No more is said from this side."""
        with contextlib.suppress(StreamEnded), _http_errors():
            self._fill()
            self._http.end_stream(1)
            self._flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def write(self) -> None:
        """The socket takes bytes again."""
        self._flush()

    def read(self) -> list[bytes]:
        """The messages that have come. Raises when there are none and none can come any more."""
        if self._status is None:
            self._receive()
        while self._status is None and self.has_read_ahead:
            self._receive()
        messages = list(self._messages)
        self._messages.clear()
        if not messages and self._status is not None:
            raise StreamEnded(*self._status)
        return messages

    @property
    def is_over(self) -> bool:
        return self._status is not None

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._over(UNAVAILABLE, f"the connection broke: {error}")
            return
        if data == b"":
            self._over(UNAVAILABLE, "the agent closed the connection")
            return
        try:
            with _http_errors():
                for event in self._http.receive_data(data):
                    self._handle(event)
            self._fill()
        except StreamEnded as end:
            self._over(end.code, end.reason)

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self._received += event.data
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self._unpack()
        elif isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            headers = {_text(name): _text(value) for name, value in event.headers or ()}
            if headers.get(":status", "200") != "200":
                self._over(UNAVAILABLE, f"HTTP status {headers[':status']}: no gRPC server is there")
            code = headers.get("grpc-status")
            if code is not None:
                message = urllib.parse.unquote(headers.get("grpc-message", ""))
                self._over(
                    int(code) if code.isascii() and code.isdecimal() and len(code) < 4 else INTERNAL,
                    message or "the agent ended the session",
                )
        elif isinstance(event, h2.events.StreamEnded):
            self._over(UNAVAILABLE, "the agent ended the session without a status")
        elif isinstance(event, h2.events.StreamReset):
            self._over(UNAVAILABLE, f"the agent reset the stream ({event.error_code})")
        elif isinstance(event, h2.events.ConnectionTerminated):
            # A GOAWAY that lets our stream end in peace leaves its status to come.
            if event.error_code != h2.errors.ErrorCodes.NO_ERROR or (event.last_stream_id or 0) < 1:
                self._over(UNAVAILABLE, f"the agent closed the connection ({event.error_code})")
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1

    def _unpack(self) -> None:
        while len(self._received) >= 5:
            size = int.from_bytes(self._received[1:5], "big")
            if self._received[0] != 0 or size > _MAX_MESSAGE_BYTES:
                raise StreamEnded(INTERNAL, "the agent sent a message that is compressed or larger than 4 MiB")
            if len(self._received) < 5 + size:
                return
            self._messages.append(bytes(self._received[5 : 5 + size]))
            del self._received[: 5 + size]

    def _over(self, code: int, reason: str) -> None:
        if self._status is None:
            self._status = code, reason

    def _fill(self) -> None:
        """Hands over to HTTP/2 as much as the peer has given us room for."""
        with _http_errors():
            while self.unsent and not self._to_write:
                message = self.unsent[0]
                room = min(self._http.local_flow_control_window(1), self._http.max_outbound_frame_size, len(message))
                if room <= 0:
                    break
                self._http.send_data(1, message[:room])
                if room == len(message):
                    self.unsent.popleft()
                else:
                    self.unsent[0] = message[room:]
                self._flush()
        self._flush()

    def _flush(self) -> None:
        self._to_write += self._http.data_to_send()
        try:
            while self._to_write:
                sent = self._socket.send(self._to_write)
                del self._to_write[:sent]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise StreamEnded(UNAVAILABLE, f"the connection broke: {error}") from error


def _text(header: str | bytes) -> str:
    return header if isinstance(header, str) else header.decode("utf-8", "replace")


@contextlib.contextmanager
def _http_errors() -> Iterator[None]:
    try:
        yield
    except h2.exceptions.H2Error as error:
        raise StreamEnded(UNAVAILABLE, f"HTTP/2: {error}") from error


def _connect(address: Address, timeout_s: float, context: ssl.SSLContext | None) -> socket.socket:
    try:
        if isinstance(address, UnixAddress):
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                plain.settimeout(timeout_s)
                plain.connect(address.path)
            except OSError:
                plain.close()
                raise
        else:
            plain = socket.create_connection((address.host, address.port), timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                plain = context.wrap_socket(plain, server_hostname=address.host)
        plain.setblocking(False)
        return plain
    except (OSError, ValueError) as error:
        where = f"unix:{address.path}" if isinstance(address, UnixAddress) else f"{address.host}:{address.port}"
        raise StreamEnded(UNAVAILABLE, f"no agent at {where}: {error}") from error
