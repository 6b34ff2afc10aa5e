"""`python -m app`: what it refuses, in one line, and that it serves and stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from app.__main__ import PASSWORD, main
from tests.faults import ROOT


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


def test_a_port_in_use_is_named_and_the_next_free_one_offered(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as first, socket.socket() as second:
        port = free_port()
        first.bind(("127.0.0.1", port))
        first.listen()
        try:
            second.bind(("127.0.0.1", port + 1))
            second.listen()
        except OSError:
            pytest.skip(f"port {port + 1} was taken meanwhile by another process")
        assert main(["--port", str(port)]) == 2
        line = said(capsys)
        assert f"port {port} is in use" in line
        offered = int(line.split("--port ")[1])
        assert offered >= port + 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "lab.example", ""])
def test_another_host_needs_a_password(host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(PASSWORD, raising=False)
    assert main(["--host", host]) == 2
    assert "password" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "70000"], "--port 70000"),
        (["--password-file", "nowhere"], "nowhere"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert named in said(capsys)


def test_a_short_password_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "password"
    file.write_text("short\n")
    assert main(["--password-file", str(file)]) == 2
    assert "at least 8" in said(capsys)
    monkeypatch.setenv(PASSWORD, "")
    assert main(["--host", "0.0.0.0"]) == 2
    said(capsys)


def test_it_serves_behind_the_password_and_leaves_no_process_behind(tmp_path: Path):
    file, port = tmp_path / "password", free_port()
    file.write_text("a long password\n")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "app", "--port", str(port), "--password-file", str(file)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        address = f"http://127.0.0.1:{port}/api/view?nfe=8"
        reply = wait_for(address, server)
        assert reply.status_code == 401
        assert httpx.get(address, auth=("me", "a long password"), timeout=60).json()["view"]["a"]["nfe"] == 8
        children = psutil.Process(server.pid).children(recursive=True)
        assert children
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    assert server.returncode in (0, -signal.SIGINT)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert len(gone) == len(children)


def test_it_ends_at_once_while_it_still_prepares(tmp_path: Path):
    """With nothing cached a worker makes the setup for some seconds; nobody may wait for it after Ctrl-C."""
    port = free_port()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    server = subprocess.Popen([sys.executable, "-m", "app", "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/stage/explore.css", server)
        assert not list(tmp_path.rglob("setup-*.json")), "the setup was there before the server could be ended"
        server.send_signal(signal.SIGINT)
        assert server.wait(15) in (0, -signal.SIGINT)
    finally:
        server.kill()


def test_workers_end_when_the_server_is_killed(tmp_path: Path):
    port = free_port()
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    server = subprocess.Popen([sys.executable, "-m", "app", "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/view", server)
        body = {"scenes": [{"count": 200}], "options": {"iterations": 20000}}
        assert httpx.post(f"http://127.0.0.1:{port}/api/learn", json=body, timeout=60).status_code == 200
        children = psutil.Process(server.pid).children(recursive=True)
        assert len(children) >= 2
    finally:
        server.kill()
        server.wait(20)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def wait_for(address: str, server: subprocess.Popen) -> httpx.Response:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            return httpx.get(address, timeout=60)
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")
