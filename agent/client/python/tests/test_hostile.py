"""Agents, and things that are no agents, that mean no good: the client survives them, bounded, and reads go on."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from conftest import eventually

from performance_optimizer import Tuner, connect_tuner
from performance_optimizer.control.v1 import control_service_pb2 as control

_Behaviour = Callable[[socket.socket], None]


def _http2(connection: socket.socket) -> h2.connection.H2Connection:
    """A server's end that has read the request."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    connection.sendall(server.data_to_send())
    while True:
        events = server.receive_data(connection.recv(65_536))
        connection.sendall(server.data_to_send())
        if any(isinstance(event, h2.events.DataReceived) for event in events):
            return server


def _answer(connection: socket.socket, *frames: bytes) -> None:
    server = _http2(connection)
    server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    for frame in frames:
        server.send_data(1, frame)
    connection.sendall(server.data_to_send())
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def _message(response: control.ConnectResponse) -> bytes:
    data = response.SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


def _headers(*headers: tuple[str, str]) -> _Behaviour:
    def behave(connection: socket.socket) -> None:
        server = _http2(connection)
        server.send_headers(1, list(headers), end_stream=True)
        connection.sendall(server.data_to_send())

    return behave


def _goaway(connection: socket.socket) -> None:
    server = _http2(connection)
    server.close_connection(error_code=1)
    connection.sendall(server.data_to_send())


def _reset(connection: socket.socket) -> None:
    server = _http2(connection)
    server.reset_stream(1)
    connection.sendall(server.data_to_send())


_BEHAVIOURS: dict[str, _Behaviour] = {
    "closes at once": lambda connection: None,
    "says something else": lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "sends garbage": lambda connection: connection.sendall(bytes(range(256)) * 100),
    "claims a message of 4 GiB": lambda connection: _answer(connection, b"\0\xff\xff\xff\xff"),
    "claims compression": lambda connection: _answer(connection, b"\1\0\0\0\1\0"),
    "answers as a web server": _headers((":status", "404"), ("content-type", "text/html")),
    "has a status that is no number": _headers((":status", "200"), ("grpc-status", "\u00b2"), ("grpc-message", "%zz")),
    "has a status and no words": _headers((":status", "200"), ("grpc-status", "13")),
    "says goodbye": _goaway,
    "resets the stream": _reset,
}


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Callable[[_Behaviour], tuple[str, list[int]]]]:
    listeners: list[socket.socket] = []

    def start(behave: _Behaviour) -> tuple[str, list[int]]:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "peer.sock"))
        listener.listen()
        listeners.append(listener)
        served: list[int] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError, Exception):
                    behave(connection)
                served.append(1)

        threading.Thread(target=serve, daemon=True).start()
        return f"unix:{tmp_path}/peer.sock", served

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("behaviour", _BEHAVIOURS)
def test_a_peer_that_misbehaves_is_given_up_and_tried_again(
    peer: Callable[[_Behaviour], tuple[str, list[int]]], behaviour: str
) -> None:
    address, served = peer(_BEHAVIOURS[behaviour])
    with connect_tuner(component="brave", tier="stable", address=address, random=lambda: 0.0) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: len(served) >= 2, 20)
        assert (batch.value, tuner.status.connected) == (8, False)
        assert tuner.status.reason not in ("", "not connected yet")
        assert "defect" not in tuner.status.reason


def test_a_flood_of_commands_is_answered_within_bounds(peer: Callable[[_Behaviour], tuple[str, list[int]]]) -> None:
    flood = 20_000

    def behave(connection: socket.socket) -> None:
        server = _http2(connection)
        server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
        welcome = control.ConnectResponse(welcome=control.Welcome(epoch=1))
        welcome.welcome.heartbeat_interval.seconds = 1
        server.send_data(1, _message(welcome))
        connection.sendall(server.data_to_send())
        for revision in range(1, flood + 1):
            command = control.Command(command_id=f"c{revision}", epoch=1, revision=revision, nonce="n")
            change = command.changes.add(knob="batch")
            change.value.int_value = 1 + revision % 60
            command.lease_ttl.seconds = 60
            frame = _message(control.ConnectResponse(command=command))
            while server.local_flow_control_window(1) < len(frame):
                server.receive_data(connection.recv(65_536))
            server.send_data(1, frame)
            connection.sendall(server.data_to_send())
        # It never reads what is answered: the client must drop, and count.
        threading.Event().wait(5)

    def ends(tuner: Tuner) -> bool:
        return batch.value == 1 + flood % 60 and tuner.dropped_messages > 0

    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    address, _ = peer(behave)
    with connect_tuner(component="brave", tier="stable", address=address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: ends(tuner), 60)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000
