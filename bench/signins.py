#!/usr/bin/env python3
"""Measures `GET /api/orders` through the gateway while 100 clients sign in, beside the same while nobody does.

A sign-in computes a bcrypt hash, a quarter of a second of a core, on a thread of low priority, so that nobody else should
notice. Starts users, orders and the gateway as three processes, with demo users and a temporary folder, and 20 orders to list;
then, round after round, drives the list with wrk while idle and while 100 clients sign in without pause. Prints p50 and p99 of
each, with their spread over the rounds, and how many times the p99 is that of idle (aim: at most 3).

Needs wrk (Debian's package). Everything listens on loopback and ends with this script.
"""

import argparse
import http.client
import json
import multiprocessing
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
PORTS = {"gateway": 7201, "users": 7202, "orders": 7203, "admin": 7210}
CLIENTS = 100
DEMO = {"username": "demo", "password": "b"}


def start(binaries, folder):
    """Starts the three services, and waits until the gateway is ready."""
    shared = {**os.environ, "INTERNAL_KEY": "for-measuring-only-and-nothing-else-at-all", "RUST_LOG": "warn"}
    settings = {
        "users": {"USERS_LISTEN": f"127.0.0.1:{PORTS['users']}", "USERS_DATA_DIR": str(folder / "users"), "USERS_DEMO": "true"},
        "orders": {"ORDERS_LISTEN": f"127.0.0.1:{PORTS['orders']}", "ORDERS_DATABASE_URL": f"sqlite://{folder}/orders/orders.db"},
        "gateway": {
            "GATEWAY_LISTEN": f"127.0.0.1:{PORTS['gateway']}", "GATEWAY_ADMIN_LISTEN": f"127.0.0.1:{PORTS['admin']}",
            "GATEWAY_KEY_DIR": str(folder / "keys"), "LOGIN_LIMIT": "1000000/s per ip",
            "USERS_SERVICE_URL": f"http://127.0.0.1:{PORTS['users']}", "ORDERS_SERVICE_URL": f"http://127.0.0.1:{PORTS['orders']}",
        },
    }
    processes = []
    for name, own in settings.items():
        log = open(folder / f"{name}.log", "wb")
        arguments = ["--config", str(ROOT / "gateway/gateway.yaml")] if name == "gateway" else []
        processes.append(subprocess.Popen([binaries / name, *arguments], env={**shared, **own}, stdout=log, stderr=log))
    deadline = time.time() + 30
    while time.time() < deadline:
        try:
            if call("GET", "/health/ready")[0] == 200:
                return processes
        except OSError:
            pass
        time.sleep(0.1)
    stop(processes)
    sys.exit("\n".join((folder / f"{name}.log").read_text()[-1000:] for name in settings))


def stop(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def call(method, path, body=None, token=None):
    """Sends one request to the gateway; returns the status and the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", PORTS["gateway"], timeout=120)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def sign_in_without_pause(signed_in):
    """One client. Where too many wait it tries again after a second, as `Retry-After` says at least. On machines of their own the
    clients would cost no CPU time here, so that their priority is low."""
    os.nice(10)
    while True:
        try:
            if call("POST", "/api/login", DEMO)[0] == 201:
                with signed_in.get_lock():
                    signed_in.value += 1
            else:
                time.sleep(1)
        except OSError:
            time.sleep(1)


def drive(token, seconds):
    """p50 and p99 in milliseconds of the list of orders."""
    command = ["wrk", "-t1", "-c4", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {token}",
               f"http://127.0.0.1:{PORTS['gateway']}/api/orders"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in shown or "Socket errors" in shown:
        sys.exit(f"some requests failed:\n{shown}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return [float(value) * unit[name] for value, name in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", shown)]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", default=str(ROOT / "target/release"), help="the folder of the three programs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    processes = start(pathlib.Path(args.binaries).resolve(), folder)
    clients = []
    rows = {"idle": [], "while 100 clients sign in": []}
    signed_in = multiprocessing.Value("i", 0)
    try:
        token = call("POST", "/api/login", DEMO)[1]["access_token"]
        for item in range(20):
            call("POST", "/api/orders", {"address": "1 Main Street", "item": f"item {item}"}, token)
        drive(token, 1)
        for _ in range(args.rounds):
            rows["idle"].append(drive(token, args.seconds))
            clients = [multiprocessing.Process(target=sign_in_without_pause, args=(signed_in,), daemon=True) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            time.sleep(2)
            rows["while 100 clients sign in"].append(drive(token, args.seconds))
            for client in clients:
                client.kill()
            for client in clients:
                client.join()
            # What they left in the queue is computed first.
            while call("POST", "/api/login", DEMO)[0] != 201:
                time.sleep(1)
    finally:
        for client in clients:
            client.kill()
        stop(processes)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{os.cpu_count()} cores; {args.rounds} rounds of {args.seconds} s, medians (spread); {signed_in.value} sign-ins\n")
    print("| `GET /api/orders`, 4 connections | p50 ms | p99 ms |\n|---|---|---|")
    for name, measured in rows.items():
        print(f"| {name} | {spread([row[0] for row in measured])} | {spread([row[1] for row in measured])} |")
    idle, busy = rows.values()
    ratios = [during[1] / before[1] for before, during in zip(idle, busy)]
    print(f"\np99 while they sign in / idle: {spread(ratios)}")


if __name__ == "__main__":
    main()
