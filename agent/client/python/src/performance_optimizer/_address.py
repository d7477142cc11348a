"""Where the agent is looked for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_TCP_PORT = 4319


class UnixAddress(NamedTuple):
    path: str


class TcpAddress(NamedTuple):
    host: str
    port: int


Address = UnixAddress | TcpAddress


def parse_address(text: str) -> Address:
    """Reads `unix:/absolute/path`, `host:port` or `[ipv6]:port`."""
    if text.startswith("unix:"):
        path = re.sub(r"^///", "/", text[len("unix:") :])
        if not path.startswith("/"):
            raise ValueError(f'address "{text}": a socket path must be absolute: unix:/path')
        return UnixAddress(path)
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:/\[\]]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(f'address "{text}": expected unix:/absolute/path, host:port or [ipv6]:port')
    return TcpAddress(match[1] or match[2], int(match[3]))


def addresses(said: str | None, environment: Mapping[str, str]) -> tuple[Address, ...]:
    """To be tried in turn: what was said, or else what the environment says, or else the user's default socket and,
    where nobody answers there, 127.0.0.1:4319."""
    text = said or environment.get("PERFOPT_CONTROL_ADDRESS")
    if text:
        return (parse_address(text),)
    tcp = TcpAddress("127.0.0.1", DEFAULT_TCP_PORT)
    if not hasattr(os, "getuid"):
        return (tcp,)
    runtime = environment.get("XDG_RUNTIME_DIR")
    folder = f"{runtime}/performance-optimizer" if runtime else f"/tmp/performance-optimizer-{os.getuid()}"
    return (UnixAddress(f"{folder}/control.sock"), tcp)
