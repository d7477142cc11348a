"""A real agent in a process of its own, for the tests that need one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[4]
_NODE = _ROOT / "node_modules" / ".bin" / "node"
LEASE_S = 1.5


def eventually(holds: Callable[[], object], within_s: float = 10.0) -> None:
    """Waits for something to become true, and fails when it has not by then."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"has not become true within {within_s} s")
        time.sleep(0.005)


class Agent:
    def __init__(self, **access: object) -> None:
        self._access = access
        self.extra: dict[str, object] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="perfopt-py-"))
        self.address = f"unix:{self.folder}/control.sock"
        self._log = (self.folder / "agent.log").open("w")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = {
            "state": {"path": str(self.folder / "state.db")},
            "receivers": {"otlp": {"grpc": {"address": "127.0.0.1:0"}, "http": {"address": "127.0.0.1:0"}}},
            "web": {"address": "127.0.0.1:0"},
            "control": {
                "socket": str(self.folder / "control.sock"),
                "address": None,
                "heartbeatInterval": 500,
                "leaseTtl": int(LEASE_S * 1_000),
                "applyDeadline": 500,
                "access": self._access,
                **self.extra,
            },
        }
        (self.folder / "agent.yaml").write_text(json.dumps(config))
        command: list[str | Path] = [_NODE, _ROOT / "agent" / "main.ts", "run", "--config", self.folder / "agent.yaml"]
        self._process = subprocess.Popen(command, stderr=self._log)
        eventually(lambda: (self.folder / "control.sock").exists(), 30)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def perfopt(self, *arguments: str) -> str:
        """What an operator's command says."""
        done = subprocess.run(
            [_NODE, _ROOT / "agent" / "main.ts", *arguments, "--address", self.address],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def component(self, name: str) -> dict[str, Any]:
        snapshot = json.loads(self.perfopt("snapshot", "--json"))
        return next(each for each in snapshot["components"] if each["component"] == name)

    def dispose(self) -> None:
        self.kill()
        self._log.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def shared_agent() -> Iterator[Agent]:
    """For tests that leave it alive."""
    agent = Agent()
    agent.start()
    yield agent
    agent.dispose()


@pytest.fixture
def mortal_agent() -> Iterator[Agent]:
    """For tests that kill it."""
    agent = Agent()
    agent.start()
    yield agent
    agent.dispose()


def python(program: str, *arguments: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
