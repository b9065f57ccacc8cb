#!/usr/bin/env python3
"""Counts the instructions that the gateway executes for one request, with valgrind's callgrind.

Unlike times, these counts hardly depend on the machine or on what else it does: use them to compare two versions. Each
binary runs with the configuration of run.py before its upstream; after a warm-up the counters are set to zero, and one
client sends requests with the same token over one connection. What the kernel executes is not counted.

Needs valgrind and nginx (Debian's packages).
"""

import argparse
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import run

WARM_UP = 500


def ask(client, bearer, count):
    """Sends requests one after another and checks each answer."""
    request = f"GET /r/small HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
    for _ in range(count):
        client.sendall(request)
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < run.BODIES["small"]:
            answer += client.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the gateway answered {answer[:100]!r}")


def instructions(folder, binary, bearer, requests):
    """The instructions of one request, on average."""
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out", "--collect-atstart=yes", binary]
    proxy = run.start_gateway(folder, valgrind, 10)
    try:
        with socket.create_connection(("127.0.0.1", run.PORTS["gateway"])) as client:
            ask(client, bearer, WARM_UP)
            subprocess.run(["callgrind_control", "--zero", str(proxy.process.pid)], check=True, capture_output=True)
            ask(client, bearer, requests)
            subprocess.run(["callgrind_control", "--dump", str(proxy.process.pid)], check=True, capture_output=True)
    finally:
        proxy.stop()
    dumps = list(folder.glob("callgrind.out.1*"))
    totals = [re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE) for dump in dumps]
    for dump in folder.glob("callgrind.out*"):
        dump.unlink()
    return sum(int(total[1]) for total in totals if total) / requests


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", nargs="*", default=[str(run.ROOT / "target/release/gateway")], help="binaries of the gateway")
    parser.add_argument("--requests", type=int, default=2000)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    direct = run.start_direct(folder)
    try:
        for binary in args.binaries:
            count = instructions(folder, str(pathlib.Path(binary).resolve()), run.token(run.kid()), args.requests)
            print(f"{count:,.0f} instructions per request: {binary}")
    finally:
        direct.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
