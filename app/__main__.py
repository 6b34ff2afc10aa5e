"""`python -m app` opens the lab. Bad input ends in one line on standard error and exit status 2."""

import argparse
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

BAD_INPUT = 2
PASSWORD = "FLOWLAB_PASSWORD"
LEAST_PASSWORD = 8  # characters
LOOKED_THROUGH = 50  # ports after one that is in use


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is stopped; returns the exit status."""
    parser = argparse.ArgumentParser("python -m app", description="Open the flow-matching lab in a browser.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine alone); any other needs a password"
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: 7860)")
    parser.add_argument("--runs", type=Path, default=None, metavar="DIR", help="folder of training runs (default: runs/)")
    parser.add_argument(
        "--password-file",
        type=Path,
        default=None,
        metavar="FILE",
        help=f"file that holds the password; the environment variable {PASSWORD} does as well",
    )
    given = parser.parse_args(arguments)
    try:
        password = _password(given.password_file)
        _check_host(given.host, password)
        held = _listen(given.host, given.port)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return _serve(held, given.host, password, given.runs)


def _serve(held: socket.socket, host: str, password: str | None, runs: Path | None) -> int:
    import uvicorn

    from app.security import LOOPBACK
    from app.server import create_app

    anywhere = host in ("0.0.0.0", "::", "")
    hosts = ("*",) if anywhere else (*LOOPBACK, host)  # with a password, any name of the machine will do
    config = uvicorn.Config(
        create_app(hosts=hosts, password=password, runs=runs or Path("runs")),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,  # an event stream would hold it up for ever
        ws_max_size=2**20,
    )
    port = held.getsockname()[1]
    print(f"Flow Lab: http://{'127.0.0.1' if anywhere else f'[{host}]' if ':' in host else host}:{port}   (Ctrl-C stops it)", flush=True)
    try:
        uvicorn.Server(config).run(sockets=[held])
    except KeyboardInterrupt:  # uvicorn has shut down in order, and passes it on
        print("stopped", file=sys.stderr)
    return 0


def _password(file: Path | None) -> str | None:
    """The password of the file, or of the environment, None where there is neither. Raises ValueError."""
    if file is None:
        password = os.environ.get(PASSWORD)
        name = PASSWORD
    else:
        name = f"--password-file {file}"
        try:
            password = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ValueError(f"{name} cannot be read: {reason}") from error
    if password is not None and len(password) < LEAST_PASSWORD:
        raise ValueError(f"{name} holds a password of {len(password)} characters; at least {LEAST_PASSWORD} are needed")
    return password


def _check_host(host: str, password: str | None) -> None:
    if password is None and not _is_loopback(host):
        raise ValueError(
            f"--host {host} would open the lab to other machines, so it needs a password: give --password-file FILE or set {PASSWORD}"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ValueError naming the port, and the next free one where it is in use."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port} must lie in 0 to 65535")
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ValueError(f"--host {host} --port {port} cannot be listened on: {error.strerror}") from error
    for other in range(port + 1, min(port + 1 + LOOKED_THROUGH, 65536)):
        try:
            _bound(host, other).close()
        except OSError:
            continue
        raise ValueError(f"port {port} is in use, perhaps by another lab; {other} is free: --port {other}")
    raise ValueError(f"port {port} is in use, and so are the next {LOOKED_THROUGH}; choose another with --port")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
        held.listen(128)
    except OSError:
        held.close()
        raise
    return held


if __name__ == "__main__":
    sys.exit(main())
