"""Runs the pods of rendered charts without a cluster: each container is a process in a sandbox (bubblewrap) with the command
line, environment, volumes and user of the pod, a read-only root and no capabilities.

It reads what Kubernetes would read, not the charts. Not covered: images (the binaries are given), service names (all resolve to
this machine), resource limits, NetworkPolicies.
"""

import base64
import pathlib
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

WORKLOADS = ("Deployment", "StatefulSet")


class Cluster:
    """The objects of a namespace, and a folder for volumes."""

    def __init__(self, objects, binaries, parent=None, claims=None):
        self.objects = {(each["kind"], each["metadata"]["name"]): each for each in objects}
        self.binaries = pathlib.Path(binaries)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pods-", dir=parent))
        self.claims = claims or self.folder / "claims"

    def get(self, kind, name):
        try:
            return self.objects[kind, name]
        except KeyError:
            raise SystemExit(f"pods: there is no {kind} {name}, to which a pod refers") from None

    def content(self, kind, name):
        """The files of a ConfigMap or a Secret."""
        data = self.get(kind, name).get("data", {})
        return {key: base64.b64decode(text) if kind == "Secret" else text.encode() for key, text in data.items()}

    def workloads(self):
        return [each for (kind, _), each in self.objects.items() if kind in WORKLOADS]

    def hosts(self):
        services = [name for kind, name in self.objects if kind == "Service"]
        file = self.folder / "hosts"
        file.write_text(f"127.0.0.1 localhost {' '.join(services)}\n")
        return file


def run_job(cluster, job, environment={}, account=None):
    """Runs the containers of a Job one after another, until one fails; yields the name of each and how it ended."""
    spec = job["spec"]["template"]["spec"]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        pod = Pod(cluster, job["metadata"]["name"], spec | {"containers": [container], "account": account})
        ran = subprocess.run(pod.command(environment), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        yield container["name"], ran
        if ran.returncode:
            return


def upgrade_checks(objects):
    """The Jobs that run before an upgrade."""
    return [each for each in objects if each["kind"] == "Job" and each["metadata"]["name"].endswith("-check")]


def check_upgrade(cluster, checks, expected):
    """Runs the Jobs before an upgrade to the same version, while its services run. Exits unless all succeed."""
    if len(checks) != expected:
        raise SystemExit(f"pods: expected {expected} Jobs that check an upgrade, but there are {len(checks)}")
    for job in checks:
        for container, ran in run_job(cluster, job):
            if ran.returncode:
                raise SystemExit(f"pods: {job['metadata']['name']}, {container}: {ran.stdout}{ran.stderr}")
            print(f"  {job['metadata']['name']}, {container}: {ran.stdout.splitlines()[-1]}")


class Pod:
    """One container of one pod, as the kubelet would run it."""

    def __init__(self, cluster, owner, spec):
        self.cluster, self.owner, self.spec = cluster, owner, spec
        (self.container,) = spec["containers"]
        self.name = self.container["name"]
        self.process = None

    @classmethod
    def of(cls, cluster, workload):
        spec = dict(workload["spec"]["template"]["spec"])
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            source = {"claimName": f"{name}-{workload['metadata']['name']}-0"}
            spec["volumes"] = [*spec.get("volumes", []), {"name": name, "persistentVolumeClaim": source}]
        return cls(cluster, workload["metadata"]["name"], spec)

    @property
    def program(self):
        """The name of its image, which is that of its binary."""
        return self.container["image"].rsplit("/", 1)[-1].split(":")[0]

    def environment(self):
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        for source in self.container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    content = self.cluster.content(kind, source[field]["name"])
                    variables |= {source.get("prefix", "") + key: value.decode() for key, value in content.items()}
        for variable in self.container.get("env", []):
            if "valueFrom" in variable:
                wanted = variable["valueFrom"]["secretKeyRef"]
                content = self.cluster.content("Secret", wanted["name"])
                if wanted["key"] not in content:
                    raise SystemExit(f"pods: Secret {wanted['name']} has no key {wanted['key']}, which {self.name} wants")
                variables[variable["name"]] = content[wanted["key"]].decode()
            else:
                variables[variable["name"]] = variable["value"]
        return variables

    def volume(self, volume):
        """The folder of a volume, with the current files of its ConfigMaps and Secrets. Like the kubelet, it changes them all at
        once: each is a link into `..data`, which is a link to the folder of the newest version."""
        folder = self.cluster.folder / f"{self.owner}-{volume['name']}"
        if "persistentVolumeClaim" in volume:
            folder = self.cluster.claims / volume["persistentVolumeClaim"]["claimName"]
        folder.mkdir(exist_ok=True, parents=True)
        sources = [volume, *volume.get("projected", {}).get("sources", [])]
        if not any("configMap" in source or "secret" in source for source in sources):
            return folder
        version = pathlib.Path(tempfile.mkdtemp(prefix="..", dir=folder))
        version.chmod(0o755)
        for source in sources:
            for field, kind, key in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
                if field in source:
                    wanted = source[field]
                    content = self.cluster.content(kind, wanted.get(key) or wanted["name"])
                    for item in wanted.get("items", [{"key": name, "path": name} for name in content]):
                        file = version / item["path"]
                        file.write_bytes(content[item["key"]])
                        file.chmod(wanted.get("defaultMode", 0o644))
        newest = folder / "..newest"
        newest.symlink_to(version.name)
        newest.rename(folder / "..data")
        for file in version.iterdir():
            if not (folder / file.name).is_symlink():
                (folder / file.name).symlink_to(f"..data/{file.name}")
        return folder

    def command(self, environment={}):
        pod, own = self.spec["securityContext"], self.container["securityContext"]
        assert pod["runAsNonRoot"] and own["readOnlyRootFilesystem"] and own["capabilities"]["drop"] == ["ALL"], self.name
        user = str(pod["runAsUser"])
        # bwrap refuses to be started by a user who is not root and has a capability, which helm/verify may have given.
        sandbox = ["setpriv", "--ambient-caps", "-all", "--inh-caps", "-all"]
        sandbox += ["bwrap", "--unshare-all", "--share-net", "--uid", user, "--gid", user, "--cap-drop", "ALL", "--clearenv"]
        sandbox += ["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]
        sandbox += ["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"]
        sandbox += ["--ro-bind", self.cluster.hosts(), "/etc/hosts"]
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            bind = "--ro-bind" if mount.get("readOnly") else "--bind"
            sandbox += [bind, self.volume(volumes[mount["name"]]), mount["mountPath"]]
        if account := self.spec.get("account"):
            sandbox += ["--ro-bind", account, "/var/run/secrets/kubernetes.io/serviceaccount"]
        command = self.container.get("command")
        if not command:
            binary = self.cluster.binaries / self.program
            sandbox += ["--ro-bind", binary, f"/{self.program}"]
            command = [f"/{self.program}"]
        for name, value in (self.environment() | environment).items():
            sandbox += ["--setenv", name, value]
        return [*sandbox, "--remount-ro", "/", "--die-with-parent", "--", *command, *self.container.get("args", [])]

    @property
    def log(self):
        return self.cluster.folder / f"{self.owner}.log"

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def probe(self, kind):
        """Runs one probe; returns what it got instead of success, or None."""
        action = self.container[kind]["httpGet"]
        port = next(port["containerPort"] for port in self.container["ports"] if port["name"] == action["port"])
        url = f"http://127.0.0.1:{port}{action['path']}"
        try:
            with urllib.request.urlopen(url, timeout=self.container[kind].get("timeoutSeconds", 1)):
                return None
        except urllib.error.HTTPError as answer:
            return f"{url} answered {answer.code}: {answer.read().decode(errors='replace')}"
        except OSError as error:
            return f"{url}: {error}"

    def wait_until_ready(self):
        """Waits as a rollout does; if a container exits or is not ready in time, exits with its log."""
        deadline = time.monotonic() + 30
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            while failure := self.probe(kind):
                if self.process.poll() is not None:
                    raise SystemExit(f"pods: {self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
                if time.monotonic() > deadline:
                    raise SystemExit(f"pods: {self.name}: {kind}: {failure}\n{self.log.read_text()}")
                time.sleep(0.05)

    def stop(self):
        """Stops it as the kubelet does; returns its exit code and the seconds it took."""
        begun = time.monotonic()
        # bubblewrap does not forward signals; its child is the container's first process.
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        init = [int(child) for child in children]
        inner = [int(pid) for each in init for pid in pathlib.Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        subprocess.run(["kill", "-TERM", *map(str, inner or init)], check=True)
        code = self.process.wait(timeout=self.spec["terminationGracePeriodSeconds"])
        return code, time.monotonic() - begun

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
