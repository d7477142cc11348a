"""How the client gets in where that takes more than reaching the address: a certificate of its own, a token, both."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ChannelAccess:
    token: str | None = None
    """Sent with every session."""
    ca: str | None = None
    """Path of the PEM file of who vouches for the agent; with it the channel is TLS."""
    cert: str | None = None
    """Paths of the PEM files that are ours, together or not at all."""
    key: str | None = None

    def context(self) -> ssl.SSLContext | None:
        """Raises `OSError` when a file cannot be read."""
        if self.ca is None:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(["h2"])
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context

    def metadata(self) -> list[tuple[str, str]]:
        return [] if self.token is None else [("authorization", f"Bearer {self.token}")]


def access_from(environment: Mapping[str, str]) -> ChannelAccess:
    """From PERFOPT_CONTROL_TOKEN or _TOKEN_FILE, and PERFOPT_CONTROL_CA, _CERT, _KEY. Raises `OSError`."""
    token_file = environment.get("PERFOPT_CONTROL_TOKEN_FILE")
    token = environment.get("PERFOPT_CONTROL_TOKEN") or (token_file and Path(token_file).read_text().strip())
    return ChannelAccess(
        token or None,
        environment.get("PERFOPT_CONTROL_CA") or None,
        environment.get("PERFOPT_CONTROL_CERT") or None,
        environment.get("PERFOPT_CONTROL_KEY") or None,
    )
