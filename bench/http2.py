#!/usr/bin/env python3
"""Measures HTTP/2 of the gateway beside HAProxy's: one upstream, one machine, one run, TLS on both.

The proxies and their check of the token are those of run.py. h2load drives them in turn, several rounds: requests per
second and CPU time per request, with one request at a time on each connection and with many; 1,000 connections with 100
streams each, of which none may fail (answered by the gateway itself, and fewer of them proxied); and the memory of 5,000
idle connections.

Needs haproxy, nginx, h2load (nghttp2-client) and openssl (Debian's packages).
"""

import argparse
import pathlib
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import run

IDLE_CONNECTIONS = 5000
# Connections, and streams on each.
LOADS = [(64, 1), (64, 16)]
FLOOD = (1000, 100)
# Each request in flight takes a connection to the upstream, which each proxy keeps; two addresses have 28,000 of them.
PROXIED_FLOOD = (50, 100)


def certificate(folder):
    """A key with its certificate in one file, as HAProxy reads it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    both = (folder / "key.pem").read_text() + (folder / "cert.pem").read_text()
    run.write(folder, "both.pem", both)


def start(folder, gateway):
    """The proxies, all with the same certificate."""
    certificate(folder)
    more = f"tls: {{cert: {folder}/cert.pem, key: {folder}/key.pem}}\nbuiltin: {{health: /health}}"
    bind = f"ssl crt {folder}/both.pem alpn h2"
    return [run.start_gateway(folder, [gateway], 10, more=more), run.start_haproxy(folder, bind=bind),
            run.start_haproxy(folder, "haproxy-full", bind)]


def h2load(proxy, path, bearer, connections, streams, *amount):
    """One round of h2load: what it says, by name."""
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", *amount, "-H", f"Authorization: Bearer {bearer}",
               f"https://127.0.0.1:{run.PORTS[proxy.name]}{path}"]
    before = proxy.cpu_seconds()
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu = proxy.cpu_seconds() - before
    counts = re.search(r"(\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", shown)
    total, succeeded, failed, errored, late = (int(count) for count in counts.groups())
    rate = float(re.search(r"([\d.]+) req/s", shown)[1])
    return {"rps": rate, "cpu": cpu / max(succeeded, 1) * 1e6, "total": total, "succeeded": succeeded,
            "failed": failed + errored + late, "shown": shown}


def measure(proxies, bearer, connections, streams, rounds, seconds):
    """Drives the proxies in turn and prints the medians."""
    load = lambda proxy, seconds: h2load(proxy, "/r/small", bearer, connections, streams, f"-D{seconds}")
    results = {proxy.name: [] for proxy in proxies}
    for proxy in proxies:
        load(proxy, 1)
    for _ in range(rounds):
        for proxy in proxies:
            result = load(proxy, seconds)
            if result["failed"] or not result["succeeded"]:
                sys.exit(f"{proxy.name} failed:\n{result['shown']}")
            results[proxy.name].append(result)
    print(f"\n### 230-byte answer, {connections} connections × {streams} streams\n\n"
          "| proxy | requests/s | CPU µs/request (spread) | CPU / haproxy |\n|---|---|---|---|")
    cpu = {name: statistics.median(row["cpu"] for row in rows) for name, rows in results.items()}
    for name, rows in results.items():
        spread = f"{min(row['cpu'] for row in rows):.1f} to {max(row['cpu'] for row in rows):.1f}"
        rps = statistics.median(row["rps"] for row in rows)
        print(f"| {name} | {rps:.0f} | {cpu[name]:.2f} ({spread}) | {cpu[name] / cpu['haproxy']:.2f} |")
    sys.stdout.flush()


def flood(proxy, bearer, path, connections, streams):
    """As many requests at once as the streams of all connections hold, ten times over."""
    requests = 10 * connections * streams
    result = h2load(proxy, path, bearer, connections, streams, f"-n{requests}")
    print(f"| {proxy.name}, {path} | {connections} × {streams} | {result['total']} | {result['succeeded']} | {result['failed']} | {result['rps']:.0f} |")
    if result["failed"]:
        print(f"  {re.search(r'status codes: .*', result['shown'])[0]}")
    sys.stdout.flush()


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def request(bearer):
    """GET /r/small, its fields as literals (RFC 7541, section 6.2.2)."""
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "bench"), (":path", "/r/small"),
              ("authorization", f"Bearer {bearer}")]
    block = b""
    for name, value in fields:
        for text in (name, value):
            length = len(text)
            head = bytes([length]) if length < 127 else bytes([127, (length - 127) & 127 | 128, (length - 127) >> 7])
            block += (b"\0" if text is name else b"") + head + text.encode()
    return frame(1, 0x5, 1, block)


def begin(proxy, context):
    """A connection that has begun: preface and SETTINGS on both sides."""
    plain = socket.create_connection(("127.0.0.1", run.PORTS[proxy.name]))
    client = context.wrap_socket(plain, server_hostname="localhost")
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    client.recv(4096)
    client.sendall(frame(4, 1, 0, b""))
    return client


def until_answered(client):
    """Reads up to the end of stream 1."""
    received = b""
    while True:
        while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], "big"):
            kind, flags, length = received[3], received[4], int.from_bytes(received[:3], "big")
            if kind in (0, 1) and flags & 1:
                return
            if kind in (3, 7):
                sys.exit(f"the answer is frame {kind}: {received!r}")
            received = received[9 + length:]
        received += client.recv(4096)


def measure_idle(proxies, bearer):
    """Memory with idle connections: new ones, and once each has had a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    asked = request(bearer)
    print(f"\n### Memory with {IDLE_CONNECTIONS} idle connections\n\n"
          "| proxy | MiB before | MiB with new ones | MiB once used | KiB for each |\n|---|---|---|---|---|")
    for proxy in proxies:
        before = proxy.rss_mib()
        held = [begin(proxy, context) for _ in range(IDLE_CONNECTIONS)]
        time.sleep(1)
        new = proxy.rss_mib()
        for client in held:
            client.sendall(asked)
            until_answered(client)
        time.sleep(5)
        used = proxy.rss_mib()
        each = (used - before) * 1024 / IDLE_CONNECTIONS
        print(f"| {proxy.name} | {before:.1f} | {new:.1f} | {used:.1f} | {each:.1f} |")
        sys.stdout.flush()
        for client in held:
            client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gateway", default=str(run.ROOT / "target/release/gateway"), help="the gateway's binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", choices=["cpu", "flood", "idle"], help="one measurement")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    # The workers of nginx are another user, who reads the files that it serves.
    folder.chmod(0o755)
    bearer = run.token(run.kid())
    wanted = lambda name: args.only in (None, name)
    running = []
    # Stops the proxies, too, when it is stopped itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        running.append(run.start_direct(folder))
        proxies = start(folder, str(pathlib.Path(args.gateway).resolve()))
        running.extend(proxies)
        print(f"{run.machine()}; {args.rounds} rounds of {args.seconds} s, medians")
        # First, while the memory of all of them is that of a new process.
        if wanted("idle"):
            measure_idle(proxies, bearer)
        if wanted("cpu"):
            for connections, streams in LOADS:
                measure(proxies, bearer, connections, streams, args.rounds, args.seconds)
        if wanted("flood"):
            print("\n### All streams at once\n\n"
                  "| | connections × streams | requests | succeeded | failed | requests/s |\n|---|---|---|---|---|---|")
            flood(proxies[0], bearer, "/health/live", *FLOOD)
            for proxy in proxies:
                flood(proxy, bearer, "/r/small", *PROXIED_FLOOD)
    finally:
        for proxy in running:
            proxy.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
