"""Installs an example as its README.md says, without a cluster, and asks the running gateway what the example promises:
python run_example.py EXAMPLE BINARIES RENDERED GIVEN. RENDERED gets the objects of the release, GIVEN those that the README creates
before it.

The commands of the README are those that people run. `kubectl create` prints its object instead, and `helm` renders, as if for an
upgrade, so that the Job which checks that is there too.
"""

import base64
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

from cluster import run_jobs
from pods import Cluster, Pod, check_upgrade, upgrade_checks
from run_rendered import smoke

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What the commands do here.
HERE = """
set -euo pipefail
kubectl() {
  case $1 in
    apply) cat "${@: -1}" && echo --- ;;
    create) (cd "$INPUT" && command kubectl "$@" --dry-run=client --output yaml && echo ---) ;;
  esac >>"$GIVEN"
}
render() { command helm template "$@" --is-upgrade 2> >(grep -v 'found symbolic link' >&2) >"$RENDERED"; }
helm() {
  case $1 in
    install) render "${@:2}" ;;
    test) ;; # below
  esac
}
helm/deploy() {
  command helm/dependencies
  render microservices-app helm/microservices-app --values "helm/values-$1.yaml" --values "$HELM_VALUES" \
    --set-string "global.image.tag=$2"
}
"""


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=stdin, check=True, capture_output=True).stdout


class Authority:
    """A certificate authority of its own."""

    def __init__(self, folder, name):
        self.folder, self.key, self.cert = folder, folder / f"{name}.key", folder / f"{name}.crt"
        self.request("-x509", "-subj", f"/CN={name}", "-addext", "keyUsage=keyCertSign", "-keyout", self.key, "-out", self.cert)

    def request(self, *arguments):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *arguments)

    def issue(self, name, host):
        """The files of a new certificate for a host, and of its key."""
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        authority = ["-CA", self.cert, "-CAkey", self.key]
        subject = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
        self.request("-x509", *authority, *subject, "-addext", "basicConstraints=CA:FALSE", "-keyout", key, "-out", cert)
        return cert, key


class Issuer:
    """Signs tokens, as somebody else's sign-in service does."""

    def __init__(self, folder):
        self.key = folder / "issuer.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.key)
        public = openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")[-32:]
        self.jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "1", "x": self.encoded(public)}]}

    @staticmethod
    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def token(self, **claims):
        parts = ({"alg": "EdDSA", "kid": "1", "typ": "JWT"}, claims)
        text = ".".join(self.encoded(json.dumps(part).encode()) for part in parts)
        with tempfile.NamedTemporaryFile() as message:
            message.write(text.encode())
            message.flush()
            signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", message.name)
        return f"{text}.{self.encoded(signature)}"


def ask(url, headers=None, method="GET", trust=None):
    """Status and body of an answer; the body is parsed as JSON if it is."""
    request = urllib.request.Request(url, headers=headers or {}, method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        status, body = answer.code, answer.read()
    with contextlib.suppress(ValueError):
        body = json.loads(body)
    return status, body


def expect(expected, found, what):
    if expected != found:
        raise SystemExit(f"run_example: {what}: expected {expected}, got {found}")


def installed(example, files, rendered, given):
    """The objects that the commands of the README create, with these files in the folder in which they run."""
    (commands,) = re.findall(r"```sh\n(.+?)```", (ROOT / "helm/examples" / example / "README.md").read_text(), re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            pathlib.Path(folder, name).write_bytes(content)
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "INPUT": folder}
        environment |= {"RENDERED": str(rendered.resolve()), "GIVEN": str(given.resolve())}
        given.write_text("")
        subprocess.run(["bash", "-c", HERE + commands], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return [each for file in (given, rendered) for each in yaml.safe_load_all(file.read_text()) if each]


class Shop(http.server.BaseHTTPRequestHandler):
    """The service behind the gateway. It answers what it was sent."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


@contextlib.contextmanager
def shop(cert, key):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), Shop)
    server.daemon_threads = True
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def running(objects, binaries, charts):
    """The pods of all workloads, ready, after the check of an upgrade to the same version for each of the charts; ends them, and removes
    their folders."""
    checks = upgrade_checks(objects)
    secrets = run_jobs([each for each in objects if each not in checks], binaries)
    cluster = Cluster(objects + secrets, binaries)
    pods = {pod.name: pod for pod in (Pod.of(cluster, workload) for workload in cluster.workloads())}
    try:
        for pod in pods.values():
            pod.start()
        for pod in pods.values():
            pod.wait_until_ready()
        check_upgrade(cluster, checks, expected=charts)
        yield cluster, pods
    finally:
        for pod in pods.values():
            pod.kill()
        shutil.rmtree(cluster.folder)


def own_services(folder, binaries, *out):
    authority, issuer = Authority(folder, "ca"), Issuer(folder)
    files = {"ca.crt": authority.cert.read_bytes(), "jwks.json": json.dumps(issuer.jwks).encode(), "token": b"only-the-gateway"}
    objects = installed("own-services", files, *out)
    objects.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {}})
    gateway = "http://127.0.0.1:8001"
    claims = {"iss": "https://login.example.com", "aud": "shop", "exp": 4102444800}  # the end of 2099
    with shop(*authority.issue("shop", "shop")), running(objects, binaries, charts=1):
        status, seen = ask(f"{gateway}/catalogue/7", {"x-shop-token": "mine", "x-customer": "1"})
        expect((200, "/catalogue/7"), (status, seen.get("path")), "a request of everybody")
        expect(("only-the-gateway", None), (seen["headers"].get("x-shop-token"), seen["headers"].get("x-customer")), "its headers")
        expect(401, ask(f"{gateway}/orders", method="POST")[0], "an order of nobody")
        signed = {"Authorization": f"Bearer {issuer.token(**claims, sub='7')}"}
        status, seen = ask(f"{gateway}/orders", signed, method="POST")
        expect((200, "7"), (status, seen.get("headers", {}).get("x-customer")), "an order of a customer")
        forged = {"Authorization": f"Bearer {Issuer(folder).token(**claims, sub='7')}"}
        expect(401, ask(f"{gateway}/orders", forged, method="POST")[0], "an order signed with another key")
    print("  own-services: the shop gets its token over TLS, and the customer whom the issuer signed in")


def connect(host, trust):
    """Status of an answer over TLS, and the certificate with which the gateway showed that it is this host."""
    with socket.create_connection(("127.0.0.1", 8001), timeout=10) as plain, trust.wrap_socket(plain, server_hostname=host) as tls:
        tls.sendall(f"GET /health/live HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        return tls.recv(64).split()[1].decode(), tls.getpeercert(binary_form=True)


@contextlib.contextmanager
def service_port(port, target):
    """Passes the connections to the port of a Service on to that of its pod, as kube-proxy does."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", target)) as pod:
                ways = {self.request: pod, pod: self.request}
                while ways:
                    for ready in select.select(list(ways), [], [])[0]:
                        data = ready.recv(65536)
                        ways[ready].sendall(data)
                        if not data:
                            ways.pop(ready).shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Connection) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def tls_at_the_gateway(folder, binaries, rendered, given):
    objects = installed("tls", {}, rendered, given)
    (certificate,) = [each["spec"] for each in objects if each["kind"] == "Certificate"]
    (host,) = certificate["dnsNames"]
    authority = Authority(folder, "ca")

    def secret():
        """The Secret that cert-manager makes of the Certificate."""
        cert, key = authority.issue("gateway", host)
        files = {"tls.crt": cert, "tls.key": key, "ca.crt": authority.cert}
        data = {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items()}
        metadata = {"name": certificate["secretName"]}
        return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}

    objects.append(secret())
    given.write_text(f"{given.read_text()}---\n{yaml.safe_dump(objects[-1])}")
    trust = ssl.create_default_context(cafile=authority.cert)
    with running(objects, binaries, charts=3) as (cluster, pods), service_port(443, 8001):
        status, first = connect(host, trust)
        expect("200", status, "a request over TLS")
        with contextlib.suppress(OSError, http.client.HTTPException):
            expect(None, ask("http://127.0.0.1:8001/health/live")[0], "a request without TLS")
        smoke(cluster)
        cluster.objects["Secret", certificate["secretName"]] = secret()
        gateway = pods["gateway"]
        for volume in gateway.spec["volumes"]:
            if volume["name"] == "tls":
                gateway.volume(volume)
        deadline = time.monotonic() + 10
        while connect(host, trust)[1] == first:
            if time.monotonic() > deadline:
                raise SystemExit("run_example: the renewed certificate is not used")
            time.sleep(0.1)
        smoke(cluster)
    print("  tls: the gateway serves with the certificate of the Secret, and with the renewed one without a restart")


@contextlib.contextmanager
def database(folder, cert, key, password):
    """A PostgreSQL server at port 5432 with TLS, and an empty database `orders` of a user of that name."""
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    # It refuses to run as root.
    user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"] if os.getuid() == 0 else []
    data = folder / "database"
    data.mkdir()
    folder.chmod(0o755)
    if user:
        shutil.chown(data, "postgres", "postgres")

    def run(program, *arguments, **options):
        subprocess.run([*user, programs / program, *arguments], check=True, stdout=subprocess.DEVNULL, **options)

    run("initdb", "-D", data, "-U", "orders", "-A", "trust", "--no-sync")
    for source, name in ((cert, "server.crt"), (key, "server.key")):
        shutil.copy(source, data / name)
        (data / name).chmod(0o600)
        if user:
            shutil.chown(data / name, "postgres", "postgres")
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = ("ssl=on", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}")
    with open(folder / "database.log", "w") as log:
        command = [*user, programs / "postgres", "-D", data, *(part for setting in settings for part in ("-c", setting))]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([programs / "pg_isready", "-qh", data]).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"run_example: PostgreSQL does not start: {(folder / 'database.log').read_text()}")
            time.sleep(0.1)
        for sql in (f"ALTER ROLE orders PASSWORD '{password}'", "CREATE DATABASE orders"):
            run("psql", "-h", data, "-U", "orders", "-d", "postgres", "-qc", sql)
        yield
    finally:
        server.terminate()
        server.wait()


def orders_on_postgresql(folder, binaries, *out):
    authority, password = Authority(folder, "ca"), "not-a-secret-here"
    objects = installed("postgresql", {"password": password.encode(), "ca.crt": authority.cert.read_bytes()}, *out)
    objects.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "database"}, "spec": {}})
    with database(folder, *authority.issue("database", "database"), password), running(objects, binaries, charts=3) as (cluster, _):
        smoke(cluster)
    print("  postgresql: orders are in the database, over TLS")


EXAMPLES = {"own-services": own_services, "tls": tls_at_the_gateway, "postgresql": orders_on_postgresql}


def main(example, binaries, *out):
    with tempfile.TemporaryDirectory() as folder:
        EXAMPLES[example](pathlib.Path(folder), binaries, *map(pathlib.Path, out))


if __name__ == "__main__":
    main(*sys.argv[1:])
