"""Simulates a cluster: serves the API of api_server.py, and runs Jobs with the real binaries (pods.py). These use the API as pods do:
over HTTPS, with the token of their service account, and as far as the Roles bound to that allow. The folder CLAIMS has the volumes,
by the names of their claims. python cluster.py PORT BINARIES CLAIMS

An image that is tagged `broken`, or `broken-NAME` if NAME is its own, can never be pulled: its Job lasts until its deadline."""

import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading

from api_server import Handler, Objects, is_broken, serving
from pods import Cluster, run_job


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificate(folder):
    """Writes the certificate of an API server at 127.0.0.1, its key, and its authority ca.crt."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "30")
    openssl(folder, "req", *key, "-keyout", "api.key", "-out", "api.csr", "-subj", "/CN=api")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-days", "30", "-extfile", "names"]
    openssl(folder, "x509", "-req", "-in", "api.csr", "-out", "api.crt", *signing)


class ForPods(Handler):
    """The API as a pod may use it."""

    def allowed(self, verb):
        """Whether a Role allows this to the account of the token, which is its name."""
        account = self.headers.get("Authorization", "").removeprefix("Bearer ")
        _, plural, namespace, _ = self.place()
        bindings = self.objects.of("RoleBinding", namespace)
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        roles = [binding["roleRef"]["name"] for binding in bindings if subject in binding["subjects"]]
        rules = [rule for role in self.objects.of("Role", namespace) if role["metadata"]["name"] in roles for rule in role["rules"]]
        if any(verb in rule["verbs"] and plural in rule["resources"] for rule in rules):
            return True
        self.body()
        self.refuse(403, "Forbidden", f"{plural} is forbidden: {account or 'nobody'} may not {verb} it in {namespace}")
        return False

    def do_GET(self):
        return super().do_GET() if self.allowed("get") else None

    def do_POST(self):
        return super().do_POST() if self.allowed("create") else None

    def do_PUT(self):
        return super().do_PUT() if self.allowed("update") else None

    def do_PATCH(self):
        return super().do_PATCH() if self.allowed("patch") else None

    def do_DELETE(self):
        return super().do_DELETE() if self.allowed("delete") else None


class Jobs:
    """Runs each Job of these objects as soon as it is created."""

    def __init__(self, objects, binaries, claims=None):
        self.objects, self.binaries, self.claims = objects, binaries, claims and pathlib.Path(claims)
        self.temporary = tempfile.TemporaryDirectory(prefix="jobs-")
        self.folder = pathlib.Path(self.temporary.name)
        certificate(self.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "api.crt", self.folder / "api.key")
        server = serving(objects, ForPods, 0)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        objects.on_job = lambda place, job: threading.Thread(target=self.run, args=(place, job), daemon=True).start()

    def account(self, namespace, name):
        """The folder that a pod with this service account gets."""
        folder = self.folder / "accounts" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes((self.folder / "ca.crt").read_bytes())
        (folder / "token").write_text(name, encoding="utf-8")
        (folder / "namespace").write_text(namespace, encoding="utf-8")
        return folder

    def run(self, place, job):
        spec = job["spec"]["template"]["spec"]
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        if any(is_broken(container["image"]) for container in containers):
            threading.Event().wait(job["spec"]["activeDeadlineSeconds"])
            return self.end(place, job, "DeadlineExceeded")
        environment, account = {}, None
        if spec["automountServiceAccountToken"]:
            environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}
            account = self.account(place[2], spec["serviceAccountName"])
        with self.objects.lock:
            cluster = Cluster(self.objects.all_in(place[2]), self.binaries, self.folder, self.claims)
        failure = None
        for container, ran in run_job(cluster, job, environment, account):
            print(f"{place[3]}, {container}: {ran.stdout}{ran.stderr}", end="", file=sys.stderr, flush=True)
            failure = "BackoffLimitExceeded" if ran.returncode else None
        shutil.rmtree(cluster.folder)
        return self.end(place, job, failure)

    def end(self, place, job, failure):
        with self.objects.lock:
            self.objects.end_job(place, job, failure)


def run_jobs(rendered, binaries):
    """Runs the Jobs among some objects, and returns the Secrets that they create."""
    objects = Objects()
    Jobs(objects, binaries)
    with objects.lock:
        for each in rendered:
            objects.add(each, "default")
        ended = objects.lock.wait_for(lambda: all("status" in job for job in objects.of("Job", "default")), timeout=60)
    failed = [job["metadata"]["name"] for job in objects.of("Job", "default") if "succeeded" not in job.get("status", {})]
    if failed or not ended:
        raise SystemExit(f"jobs: these Jobs did not succeed: {', '.join(failed)}")
    return objects.of("Secret", "default")


def main(port, binaries, claims):
    objects = Objects()
    jobs = Jobs(objects, binaries, claims)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(jobs.temporary.cleanup()))
    serving(objects, Handler, int(port)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
