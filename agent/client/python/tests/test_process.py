"""The client in its host: never in its way, at home in threads, event loops and forks. Against a real agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import LEASE_S, Agent, eventually, python

from performance_optimizer import ChannelAccess, Rationale, TransientRejection, connect_tuner


def test_without_an_agent_everything_works_at_the_defaults(tmp_path: Path) -> None:
    started = time.monotonic()
    with connect_tuner(component="alone", tier="stable", address=f"unix:{tmp_path}/nobody.sock") as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        mode = tuner.enum("mode", default="fast", values=("fast", "exact"))
        assert time.monotonic() - started < 0.2
        batch.set(16)
        assert (batch.value, mode.value) == (16, "fast")
        assert not tuner.status.connected


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "tuner.close()", "1/0"])
def test_it_never_keeps_the_process_alive(shared_agent: Agent, end: str) -> None:
    program = f"""
import sys, time
from performance_optimizer import connect_tuner
tuner = connect_tuner(component="brief", tier="stable", address=sys.argv[1])
knob = tuner.int("batch", default=8, min=1, max=64)
while not tuner.status.connected: time.sleep(.01)
{end}
"""
    done = python(program, shared_agent.address, timeout_s=10)
    assert done.returncode == {"": 0, "raise SystemExit(3)": 3, "tuner.close()": 0, "1/0": 1}[end], done.stderr
    assert ("ZeroDivisionError" in done.stderr) == (end == "1/0")


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        ("tuner.int('Batch', default=8, min=1, max=64)", "does not match"),
        ("tuner.int('a', default=99, min=1, max=64)", "default 99 is outside 1 to 64"),
        ("tuner.int('a', default=8, min=64, max=1)", "max 1 is not greater than min 64"),
        ("tuner.int('a', default=8, min=0, max=64, scale='log')", "which a log scale needs"),
        ("tuner.enum('a', default='x', values=('x',))", "has 1 entries, allowed are 2 to 64"),
        ("tuner.float('a', default=.5, min=0, max=float('inf'))", "is not a finite number"),
        ("tuner.duration('a', default=1.0, min=-1, max=2)", "is below 0, for a duration"),
        ("tuner.int('known', default=8, min=1, max=64)", "is declared already"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_said_where_it_is_made(tmp_path: Path, declare: str, error: str) -> None:
    with connect_tuner(component="alone", tier="stable", address=f"unix:{tmp_path}/nobody.sock") as tuner:
        tuner.int("known", default=8, min=1, max=64)
        with pytest.raises(ValueError, match=error):
            eval(declare)


def test_values_come_listeners_are_asked_and_the_agent_hears_what_became_of_it(shared_agent: Agent) -> None:
    with connect_tuner(component="heard", tier="stable", address=shared_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        queue = tuner.int("queue", default=8, min=1, max=64, read_back=lambda: 31)
        told: list[int] = []
        batch.on_change(lambda value, why: told.append(value))

        def refuse(value: int, why: Rationale) -> None:
            if value == 40:
                raise TransientRejection("busy now")

        stop = batch.on_change(refuse)
        eventually(lambda: tuner.status.connected and tuner.modes.get("batch") == "auto")
        shared_agent.perfopt("pin", "heard", "batch", "16")
        eventually(lambda: batch.value == 16)
        shared_agent.perfopt("pin", "heard", "batch", "40")
        eventually(lambda: told[-2:] == [40, 16])
        assert batch.value == 16
        eventually(lambda: "busy now" in shared_agent.component("heard")["knobs"][0].get("lastError", ""))
        stop()
        shared_agent.perfopt("pin", "heard", "queue", "30")
        eventually(lambda: shared_agent.component("heard")["knobs"][1]["effective"] == {"intValue": "31"})
        assert queue.value == 30


def test_a_hand_is_announced_and_a_listener_may_refuse_it(shared_agent: Agent) -> None:
    with connect_tuner(component="handed", tier="stable", address=shared_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)

        def refuse(value: int, why: Rationale) -> None:
            if value == 9:
                raise RuntimeError("not nine")
            if value == 10:
                batch.set(11)

        batch.on_change(refuse)
        eventually(lambda: tuner.status.connected)
        batch.set(12)
        eventually(lambda: shared_agent.component("handed")["knobs"][0]["pinned"])
        with pytest.raises(RuntimeError, match="not nine"):
            batch.set(9)
        with pytest.raises(RuntimeError, match="from inside its own on_change listener"):
            batch.set(10)
        with pytest.raises(ValueError, match="99 is outside 1 to 64"):
            batch.set(99)
        assert batch.value == 12


def test_listeners_registered_on_an_event_loop_run_there_sync_and_async(shared_agent: Agent) -> None:
    async def serve() -> None:
        threads: set[int] = set()
        tuner = connect_tuner(component="looped", tier="stable", address=shared_agent.address)
        batch = tuner.int("batch", default=8, min=1, max=64)

        async def resize(value: int, why: Rationale) -> None:
            await asyncio.sleep(0.01)
            threads.add(threading.get_ident())
            if value == 40:
                raise RuntimeError("no room")

        batch.on_change(lambda value, why: threads.add(threading.get_ident()))
        batch.on_change(resize)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: eventually(lambda: tuner.status.connected))
        await loop.run_in_executor(None, lambda: shared_agent.perfopt("pin", "looped", "batch", "16"))
        await loop.run_in_executor(None, lambda: eventually(lambda: batch.value == 16))
        await loop.run_in_executor(None, lambda: shared_agent.perfopt("pin", "looped", "batch", "40"))
        component = await loop.run_in_executor(None, lambda: shared_agent.component("looped"))
        assert "no room" in component["knobs"][0]["lastError"]
        assert threads == {threading.get_ident()}

        async def infer(request: str, allocation: int) -> str:
            await asyncio.sleep(0.01)
            return request * allocation

        monitored = await tuner.execute_with_monitoring("ab", 2, infer)
        assert (monitored.result, monitored.in_flight) == ("abab", 1)
        assert monitored.execution_time_ms >= 10
        with pytest.raises(ZeroDivisionError):
            tuner.execute_with_monitoring(1, 0, lambda request, allocation: request / allocation)
        totals = tuner.monitoring
        assert (totals.succeeded, totals.failed, totals.in_flight) == (1, 1, 0)
        tuner.close()

    asyncio.run(serve())


def test_a_listener_that_never_returns_costs_a_transient_rejection_and_nothing_else(mortal_agent: Agent) -> None:
    release = threading.Event()
    with connect_tuner(component="stuck", tier="stable", address=mortal_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        queue = tuner.int("queue", default=8, min=1, max=64)
        eventually(lambda: tuner.status.connected)
        mortal_agent.perfopt("pin", "stuck", "queue", "16")
        eventually(lambda: queue.value == 16)
        batch.on_change(lambda value, why: release.wait(60))
        mortal_agent.perfopt("pin", "stuck", "batch", "32")
        eventually(lambda: "deadline" in mortal_agent.component("stuck")["knobs"][0].get("lastError", ""))
        assert (batch.value, queue.value, tuner.status.connected) == (8, 16, True)
        mortal_agent.kill()
        eventually(lambda: queue.value == 8, LEASE_S + 0.5)
        release.set()


def test_killed_agent_values_fall_back_by_the_lease_and_reads_never_wait(mortal_agent: Agent) -> None:
    with connect_tuner(component="mourner", tier="stable", address=mortal_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        told: list[int] = []
        batch.on_change(lambda value, why: told.append(value))
        eventually(lambda: tuner.status.connected)
        mortal_agent.perfopt("pin", "mourner", "batch", "16")
        eventually(lambda: batch.value == 16)
        mortal_agent.kill()
        killed = time.monotonic()
        slow = 0
        while batch.value == 16:
            before = time.perf_counter()
            for _ in range(1_000):
                _ = batch.value
            slow += time.perf_counter() - before > 0.25
            assert time.monotonic() - killed < LEASE_S + 0.2
        assert slow == 0
        eventually(lambda: told == [16, 8])
        mortal_agent.start()
        eventually(lambda: batch.value == 16, 15)
        assert tuner.status.connected


def test_a_forked_child_is_a_process_of_its_own_and_its_parent_notices_nothing(shared_agent: Agent) -> None:
    with connect_tuner(component="forker", tier="stable", address=shared_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: tuner.status.connected)
        shared_agent.perfopt("pin", "forker", "batch", "16")
        eventually(lambda: batch.value == 16)
        for _ in range(5):
            child = os.fork()
            if child == 0:
                # An error here must not run the parent's tests a second time.
                with contextlib.suppress(BaseException):
                    assert batch.value == 8 and not tuner.status.connected
                    eventually(lambda: tuner.status.connected)
                    eventually(lambda: batch.value == 16)
                    os._exit(0)
                os._exit(1)
            _, status = os.waitpid(child, 0)
            assert status == 0
            assert batch.value in (8, 16)


def test_a_child_that_does_not_read_knobs_leaves_its_parents_session_alone(shared_agent: Agent) -> None:
    with connect_tuner(component="loader", tier="stable", address=shared_agent.address) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: tuner.status.connected)
        shared_agent.perfopt("pin", "loader", "batch", "16")
        eventually(lambda: batch.value == 16)
        child = os.fork()
        if child == 0:
            time.sleep(0.5)
            os._exit(0 if threading.active_count() == 1 else 1)
        _, status = os.waitpid(child, 0)
        assert (status, batch.value, tuner.status.connected) == (0, 16, True)


def _work(address: str, results: multiprocessing.Queue[bool]) -> None:
    with connect_tuner(component="worker", tier="stable", address=address) as tuner:
        tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: tuner.status.connected)
        results.put(True)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_all_its_ways(shared_agent: Agent, method: str) -> None:
    with connect_tuner(component="parent", tier="stable", address=shared_agent.address) as tuner:
        eventually(lambda: tuner.status.connected)
        context: Any = multiprocessing.get_context(method)
        results: multiprocessing.Queue[bool] = context.Queue()
        child = context.Process(target=_work, args=(shared_agent.address, results))
        child.start()
        assert results.get(timeout=30)
        child.join(10)
        assert child.exitcode == 0
        assert tuner.status.connected


_APP = """
import os
from performance_optimizer import connect_tuner

# With --preload this runs in the master, before it forks its workers.
tuner = connect_tuner(component="web-" + os.environ["KIND"], tier="stable", address=os.environ["CONTROL"])
batch = tuner.int("batch", default=8, min=1, max=64)
master = os.getpid()

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.getpid()} {master} {batch.value} {tuner.status.connected}".encode()]
"""


@pytest.mark.parametrize("preload", [True, False])
def test_gunicorn_prefork(shared_agent: Agent, tmp_path: Path, preload: bool) -> None:
    (tmp_path / "served.py").write_text(_APP)
    kind = "preload" if preload else "plain"
    command = [sys.executable, "-m", "gunicorn", "served:app", "--bind", f"unix:{tmp_path}/web.sock", "--workers", "3"]
    server = subprocess.Popen(
        [*command, *(["--preload"] if preload else [])],
        cwd=tmp_path,
        env={
            **os.environ,
            "KIND": kind,
            "CONTROL": shared_agent.address,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: (tmp_path / "web.sock").exists(), 20)
        workers = _workers(tmp_path / "web.sock", "8")
        master = _get(tmp_path / "web.sock")[1]
        assert (master not in workers) == preload
        # One component to the operator, and a value for each of them.
        shared_agent.perfopt("pin", f"web-{kind}", "batch", "16")
        assert _workers(tmp_path / "web.sock", "16") == workers
        # A worker that dies is replaced by another fork, which comes to what the others have.
        killed = min(workers)
        os.kill(int(killed), signal.SIGKILL)
        eventually(lambda: killed not in _workers(tmp_path / "web.sock", "16"), 20)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=20)
    assert "Traceback" not in errors


def _workers(path: Path, value: str) -> set[str]:
    """The three workers, when all of them are connected and have this value."""
    found: set[str] = set()

    def are_there() -> bool:
        found.clear()
        for _ in range(60):
            worker, _, has, connected = _get(path)
            if has != value or connected != "True":
                return False
            found.add(worker)
        return len(found) == 3

    eventually(are_there, 30)
    return set(found)


def _get(path: Path) -> list[str]:
    import http.client

    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/")
        return connection.getresponse().read().decode().split()
    except OSError:
        return ["", "", "", ""]
    finally:
        connection.close()


def test_a_file_descriptor_above_1024_is_no_trouble(shared_agent: Agent) -> None:
    program = """
import os, resource, sys, time
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
from performance_optimizer import connect_tuner
tuner = connect_tuner(component="many", tier="stable", address=sys.argv[1])
until = time.monotonic() + 10
while not tuner.status.connected and time.monotonic() < until: time.sleep(.01)
raise SystemExit(0 if tuner.status.connected else 1)
"""
    done = python(program, shared_agent.address)
    assert done.returncode == 0, done.stderr


def test_an_agent_that_asks_for_a_token_is_told_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(socket="nobody", processes=[{"component": "known", "token": "a-token-of-its-own"}], operators=[])
    try:
        agent.start()
        with connect_tuner(component="known", tier="stable", address=agent.address) as stranger:
            eventually(lambda: "token is needed" in stranger.status.reason)
        token = tmp_path / "token"
        token.write_text("a-token-of-its-own\n")
        monkeypatch.setenv("PERFOPT_CONTROL_TOKEN_FILE", str(token))
        with connect_tuner(component="known", tier="stable", address=agent.address) as known:
            eventually(lambda: known.status.connected)
        access = ChannelAccess(token="a-token-of-its-own")
        with connect_tuner(component="other", tier="stable", address=agent.address, access=access) as other:
            eventually(lambda: other.status.reason not in ("", "not connected yet"))
            assert not other.status.connected
    finally:
        agent.dispose()


def _certificates(folder: Path) -> None:
    """A CA, a server and a client named after its component, in PEM."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "1")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("secured", "subjectAltName=DNS:secured")):
        (folder / f"{name}.ext").write_text(extension)
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.crt")


def test_mutual_tls(tmp_path: Path) -> None:
    _certificates(tmp_path)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    tls = {"cert": f"{tmp_path}/server.crt", "key": f"{tmp_path}/server.key", "clientCa": f"{tmp_path}/ca.crt"}
    agent = Agent(loopback="nobody")
    agent.extra = {"address": f"127.0.0.1:{port}", "tls": tls}
    try:
        agent.start()
        ca, own = (
            f"{tmp_path}/ca.crt",
            ChannelAccess(ca=f"{tmp_path}/ca.crt", cert=f"{tmp_path}/secured.crt", key=f"{tmp_path}/secured.key"),
        )
        address = f"127.0.0.1:{port}"
        with connect_tuner(component="secured", tier="stable", address=address, access=own) as tuner:
            batch = tuner.int("batch", default=8, min=1, max=64)
            eventually(lambda: tuner.status.connected)
            agent.perfopt("pin", "secured", "batch", "16")
            eventually(lambda: batch.value == 16)
        for access in (ChannelAccess(), ChannelAccess(ca=ca), ChannelAccess(ca=f"{tmp_path}/none.crt")):
            with connect_tuner(component="secured", tier="stable", address=address, access=access) as stranger:
                eventually(lambda stranger=stranger: stranger.status.reason not in ("", "not connected yet"))  # type: ignore[misc]
                assert not stranger.status.connected
        with connect_tuner(component="another", tier="stable", address=address, access=own) as other:
            eventually(lambda: other.status.reason not in ("", "not connected yet"))
            assert not other.status.connected
    finally:
        agent.dispose()


def test_a_process_that_starts_again_within_its_leases_goes_on_where_it_was(
    mortal_agent: Agent, tmp_path: Path
) -> None:
    path = tmp_path / "knobs.json"
    with connect_tuner(
        component="phoenix", tier="stable", address=mortal_agent.address, snapshot_path=str(path)
    ) as tuner:
        batch = tuner.int("batch", default=8, min=1, max=64)
        eventually(lambda: tuner.status.connected)
        mortal_agent.perfopt("pin", "phoenix", "batch", "16")
        eventually(lambda: batch.value == 16 and path.exists())
        mortal_agent.kill()
        saved = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    read = json.loads(saved)

    def started(text: str, largest: int = 64) -> object:
        path.write_text(text)
        with connect_tuner(
            component="phoenix", tier="stable", address=f"unix:{tmp_path}/nobody", snapshot_path=str(path)
        ) as again:
            return again.int("batch", default=8, min=1, max=largest).value

    def left(ms: float, **fields: object) -> str:
        knob = {**read["knobs"]["batch"], "expiresAtMs": time.time() * 1_000 + ms, **fields}
        return json.dumps({**read, "knobs": {"batch": knob}})

    assert (started(left(5_000)), started(left(-1)), started(left(5_000), largest=10)) == (16, 8, 8)
    for broken in ("", "{", "[]", left(5_000, value=[]), left(5_000, value="16"), left(5_000, origin=1), left(1e400)):
        assert started(broken) == 8
