#!/usr/bin/env python3
"""Measures the store of users with a million of them, beside the same with ten.

Starts users as a process of its own on a folder with as many accounts, and measures: the time until it is ready, which includes
writing everything anew, its memory, lookups by id, by name and by e-mail address, writes that are durable before they are answered,
and the end, which moves the log into one file with all users. A lookup by name or address is a new account that is refused since
another one has it. CPU times are those of the process, by the accounting of the kernel, divided by the requests.

Needs wrk (Debian's package). Everything listens on loopback and ends with this script.
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PORT = 7202
KEY = "for-measuring-only-and-nothing-else-at-all"
HASH = "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2"
CONNECTIONS = 16
REQUESTS = {
    "read by id": "wrk.path = '/api/users/' .. math.random(2, users)",
    "look up by name": "wrk.path = '/api/users'; wrk.method = 'POST'; "
                       "wrk.body = '{\"password\":\"four words nobody guesses\",\"username\":\"user-' .. math.random(2, users) .. '\"}'",
    "look up by e-mail": "wrk.path = '/api/users'; wrk.method = 'POST'; count = count + 1; "
                         "wrk.body = '{\"password\":\"four words nobody guesses\",\"username\":\"new-' .. count "
                         ".. '\",\"email\":\"user-' .. math.random(2, users) .. '@example.com\"}'",
    "durable write": "wrk.path = '/api/users/' .. math.random(2, users); wrk.method = 'PATCH'; count = count + 1; "
                     "wrk.body = '{\"full_name\":\"Name ' .. count .. '\"}'",
}


def fill(folder, users):
    """Writes the accounts as an import would bring them."""
    folder.mkdir(mode=0o700)
    with open(folder / "users.json", "w") as out:
        for number in range(1, users + 1):
            user = {"id": number, "username": f"user-{number}", "email": f"user-{number}@example.com", "full_name": f"Name {number}",
                    "user_type": "admin" if number == 1 else "default", "hashed_password": HASH, "created_by": 1}
            out.write(("[" if number == 1 else ",\n") + json.dumps(user))
        out.write("]\n")


def assertion():
    """What the gateway asserts of the first admin. It is valid for a minute."""
    def encode(part):
        return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).rstrip(b"=").decode()
    now = int(time.time())
    claims = {"iss": "gateway", "aud": "users", "iat": now, "exp": now + 60, "sub": "1", "user_type": "admin"}
    signed = encode({"alg": "HS256", "typ": "assertion+jwt"}) + "." + encode(claims)
    return signed + "." + encode(hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).digest())


def start(binary, folder):
    """Starts the service; returns it, and the seconds until it was ready."""
    settings = {"INTERNAL_KEY": KEY, "USERS_LISTEN": f"127.0.0.1:{PORT}", "USERS_DATA_DIR": str(folder), "RUST_LOG": "warn"}
    began = time.monotonic()
    process = subprocess.Popen([binary], env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return process, time.monotonic() - began
        except OSError:
            time.sleep(0.005)
    sys.exit("users did not start")


def end(process):
    """Ends the service in order; returns the seconds that this took."""
    began = time.monotonic()
    process.terminate()
    process.wait()
    return time.monotonic() - began


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(process, folder, users, request, seconds):
    """Requests per second, p99 in milliseconds, and CPU time in microseconds of each."""
    script = folder / "request.lua"
    script.write_text(f"""
users, count = {users}, 0
wrk.headers["gateway-assertion"] = "{assertion()}"
wrk.headers["content-type"] = "application/json"
function init(args) math.randomseed(7) end
function request() {request}; return wrk.format() end
""")
    before = cpu_seconds(process)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{PORT}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(process) - before
    total = int(re.search(r"(\d+) requests in", shown)[1])
    refused = int((re.search(r"Non-2xx or 3xx responses: (\d+)", shown) or [0, 0])[1])
    if refused != (total if "POST" in request else 0) or "Socket errors" in shown:
        sys.exit(f"not the answers that were expected:\n{shown}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", shown).groups()
    return total / seconds, float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit], used / total * 1e6


def measure(binary, folder, users, rounds, seconds):
    """Everything that is measured with this many users, by name; of requests the medians."""
    data = folder / f"users-{users}"
    fill(data, users)
    figures = {}
    process, _ = start(binary, data)
    end(process)
    process, figures["ready s"] = start(binary, data)
    figures["ready, CPU s"] = cpu_seconds(process)
    figures["resident MiB"] = resident_mib(process)
    for name, request in REQUESTS.items():
        drive(process, folder, users, request, 1)
        measured = [drive(process, folder, users, request, seconds) for _ in range(rounds)]
        for at, unit in enumerate(["per second", "p99 ms", "CPU µs"]):
            figures[f"{name}, {unit}"] = statistics.median(row[at] for row in measured)
    figures["log MiB"] = (data / "users.log").stat().st_size / 2**20
    figures["end s"] = end(process)
    process, figures["ready after it s"] = start(binary, data)
    end(process)
    shutil.rmtree(data)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target/release/users"))
    parser.add_argument("--users", type=int, nargs=2, default=[10, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--folder", help="where the accounts are written; their disk is measured")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=args.folder))
    binary = str(pathlib.Path(args.binary).resolve())
    try:
        few, many = [measure(binary, folder, users, args.rounds, args.seconds) for users in args.users]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} cores; {args.rounds} rounds of {args.seconds} s, {CONNECTIONS} connections; medians\n")
    print(f"| | {args.users[0]:,} users | {args.users[1]:,} users | ratio |\n|---|---|---|---|")
    for name in few:
        print(f"| {name} | {few[name]:.2f} | {many[name]:.2f} | {many[name] / few[name] if few[name] else 0:.2f} |")
    each = (many["resident MiB"] - few["resident MiB"]) * 2**20 / (args.users[1] - args.users[0])
    print(f"\nMemory of each user: {each:.0f} bytes")


if __name__ == "__main__":
    main()
