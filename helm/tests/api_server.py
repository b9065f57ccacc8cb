"""Simulates the API server of Kubernetes as far as helm uses it: it keeps objects in memory, patches them as the real one
does, and reports every workload as ready and every Job as complete at once, unless an image is tagged `broken` or `unready`.

It shows what rendering cannot: what installing, upgrading, failing and rolling back do to the objects. It validates nothing,
runs nothing (cluster.py runs Jobs), and has no controllers. python api_server.py PORT
"""

import base64
import copy
import json
import select
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KINDS = {
    "v1": {
        "namespaces": "Namespace", "secrets": "Secret", "configmaps": "ConfigMap", "services": "Service", "pods": "Pod",
        "serviceaccounts": "ServiceAccount", "persistentvolumeclaims": "PersistentVolumeClaim",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet", "replicasets": "ReplicaSet"},
    "batch/v1": {"jobs": "Job"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy", "ingresses": "Ingress"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
}
# The field that identifies the items of a list in a strategic merge patch; other lists are replaced as a whole.
MERGE_KEYS = {
    "containers": "name", "volumes": "name", "env": "name", "imagePullSecrets": "name", "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}  # fmt: skip


def patched(old, patch, strategic):
    """Applies a merge patch (RFC 7396) or a strategic merge patch to an object."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    if strategic and "$retainKeys" in patch:
        new = {key: value for key, value in new.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if strategic and key.startswith("$"):
            continue
        if value is None:
            new.pop(key, None)
        elif strategic and isinstance(value, list) and key in MERGE_KEYS:
            order = [item[MERGE_KEYS[key]] for item in patch.get(f"$setElementOrder/{key}", [])]
            new[key] = merged_list(new.get(key, []), value, MERGE_KEYS[key], order)
        else:
            new[key] = patched(new.get(key), value, strategic)
    return new


def is_broken(image):
    """Whether an image can never be pulled: its tag is `broken`, or `broken-` and its name."""
    name, tag = image.split("@")[0].rsplit("/", 1)[-1].split(":")
    return tag in ("broken", f"broken-{name}")


def merged_list(old, patches, key, order):
    items = {item[key]: item for item in old}
    for patch in patches:
        if patch.get("$patch") == "delete":
            items.pop(patch[key], None)
        else:
            items[patch[key]] = patched(items.get(patch[key]), patch, strategic=True)
    rank = {name: number for number, name in enumerate(order)}
    return sorted(items.values(), key=lambda item: rank.get(item[key], len(rank)))


def fields(message):
    """The length-delimited fields of a protobuf message: number and bytes. Helm writes its releases as protobuf."""

    def number(at):
        value, shift = 0, 0
        while True:
            value |= (message[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 0x80:
                return value, at

    at = 0
    while at < len(message):
        tag, at = number(at)
        value, at = number(at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value]
            at += value


def secret(message):
    """The Secret in a protobuf message. Field numbers: `generated.proto` of k8s.io/api and k8s.io/apimachinery."""
    new = {"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {}}, "data": {}}
    raw = dict(fields(message.removeprefix(b"k8s\0")))[2]
    for number, value in fields(raw):
        if number == 1:
            for number, value in fields(value):
                if number == 1:
                    new["metadata"]["name"] = value.decode()
                elif number == 11:
                    label = dict(fields(value))
                    new["metadata"]["labels"][label[1].decode()] = label[2].decode()
        elif number == 2:
            entry = dict(fields(value))
            new["data"][entry[1].decode()] = base64.b64encode(entry[2]).decode()
        elif number == 3:
            new["type"] = value.decode()
    return new


class Objects:
    """All objects, by version, plural, namespace and name."""

    def __init__(self):
        self.objects = {}
        self.version = 0
        self.lock = threading.Condition()  # notified of every change
        self.on_job = self.end_job  # called with the place and the object of each new Job

    def add(self, new, namespace):
        """Puts an object of a known kind at its place."""
        plurals = {kind: plural for plural, kind in KINDS.get(new["apiVersion"], {}).items()}
        if new["kind"] in plurals:
            self.put((new["apiVersion"], plurals[new["kind"]], namespace, new["metadata"]["name"]), new)

    def all_in(self, namespace):
        return [each for key, each in self.objects.items() if key[2] == namespace]

    def of(self, kind, namespace):
        return [each for each in self.all_in(namespace) if each["kind"] == kind]

    def put(self, place, new):
        self.version += 1
        old = self.objects.get(place)
        metadata = new["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata["resourceVersion"] = str(self.version)
        metadata["namespace"] = place[2]
        changed = old is None or old.get("spec") != new.get("spec")
        metadata["generation"] = (old["metadata"]["generation"] if old else 0) + changed
        if new["kind"] == "Service":
            new["spec"].setdefault("clusterIP", "10.0.0.1")
        if new["kind"] == "Secret":
            plain = new.pop("stringData", {})
            new.setdefault("data", {}).update({key: base64.b64encode(text.encode()).decode() for key, text in plain.items()})
        if new["kind"] in ("Deployment", "StatefulSet"):
            self.roll_out(place, new)
        self.objects[place] = new
        if new["kind"] == "Job" and old is None:
            self.on_job(place, new)
        self.lock.notify_all()
        return new

    def end_job(self, place, job, failure=None):
        """Records how a Job ended, unless it has been deleted or replaced meanwhile."""
        now = self.objects.get(place)
        if now and now["metadata"]["uid"] == job["metadata"]["uid"]:
            condition = {"type": "Failed" if failure else "Complete", "status": "True", "reason": failure or "CompletionsReached"}
            counts = {"failed": 1} if failure else {"succeeded": 1}
            self.put(place, now | {"status": counts | {"conditions": [condition]}})

    def roll_out(self, place, workload):
        """Simulates the controllers and the kubelet: workloads become ready at once, or never."""
        replicas = workload["spec"].setdefault("replicas", 1)
        images = [container["image"] for container in workload["spec"]["template"]["spec"]["containers"]]
        ready = 0 if any(is_broken(image) or image.endswith(":unready") for image in images) else replicas
        workload["status"] = {
            "observedGeneration": workload["metadata"]["generation"], "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": ready, "availableReplicas": ready, "currentRevision": "1", "updateRevision": "1",
        }  # fmt: skip
        if workload["kind"] == "Deployment":
            owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": place[3], "uid": workload["metadata"]["uid"]}
            template = copy.deepcopy(workload["spec"]["template"])
            labels = dict(template["metadata"]["labels"])
            name = f"{place[3]}-{workload['metadata']['generation']}"
            metadata = {"name": name, "labels": labels, "ownerReferences": [owner | {"controller": True}]}
            spec = {"replicas": replicas, "selector": workload["spec"]["selector"], "template": template}
            replicaset = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
            replicaset["status"] = {"replicas": replicas, "readyReplicas": ready, "observedGeneration": 1}
            stale = [key for key in self.objects if key[1] == "replicasets" and key[3].startswith(f"{place[3]}-")]
            for key in stale:
                del self.objects[key]
            self.put(("apps/v1", "replicasets", place[2], name), replicaset)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: Objects  # of the subclass that is served

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, reason, message):
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
        self.answer(status, body | {"code": status})

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "protobuf" in self.headers.get("Content-Type", ""):
            return secret(data) if self.command != "DELETE" else {}
        return json.loads(data or b"{}")

    def place(self):
        """Version, plural, namespace and name; None if the path names no object or list."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        version = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if version not in KINDS or not rest or rest[0] not in KINDS[version]:
            return None
        return version, rest[0], namespace, rest[1] if len(rest) > 1 else ""

    def discovery(self):
        path = urlsplit(self.path).path
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = []
            for group, name in [version.split("/") for version in KINDS if "/" in version]:
                version = {"groupVersion": f"{group}/{name}", "version": name}
                groups.append({"name": group, "versions": [version], "preferredVersion": version})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if path.startswith("/api") and version in KINDS:
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            resources = [
                {"name": plural, "kind": kind, "namespaced": kind != "Namespace", "singularName": "", "verbs": verbs}
                for plural, kind in KINDS[version].items()
            ]
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        # Helm asks whether the server itself validates fields. The answer is yes, because the schemas are checked separately.
        prefixes = {f"{'apis' if '/' in version else 'api'}/{version}": version for version in KINDS}
        if path == "/openapi/v3":
            return {"paths": {prefix: {"serverRelativeURL": f"/openapi/v3/{prefix}"} for prefix in prefixes}}
        if (version := prefixes.get(path.removeprefix("/openapi/v3/"))) is not None:
            group, _, name = version.rpartition("/")
            paths = {}
            for plural, kind in KINDS[version].items():
                patch = {"parameters": [{"name": "fieldValidation", "in": "query"}], "responses": {}}
                patch["x-kubernetes-group-version-kind"] = {"group": group, "version": name, "kind": kind}
                paths[f"/{plural}"] = {"patch": patch}
            return {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths}
        return None

    def do_GET(self):
        if (found := self.discovery()) is not None:
            return self.answer(200, found)
        place = self.place()
        if place is None:
            return self.refuse(404, "NotFound", f"{self.path} is not here")
        if place[3]:
            found = self.objects.objects.get(place)
            return self.answer(200, found) if found else self.refuse(404, "NotFound", f"{place[1]} {place[3]} not found")
        return self.list(place)

    def list(self, place):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if query.get("sendInitialEvents"):
            return self.refuse(422, "Invalid", "lists are not streamed here")
        if query.get("watch"):
            return self.watch(place, query)
        with self.objects.lock:
            items = self.selected(place, query)
        kind = KINDS[place[0]][place[1]]
        metadata = {"resourceVersion": str(self.objects.version)}
        return self.answer(200, {"kind": f"{kind}List", "apiVersion": place[0], "metadata": metadata, "items": items})

    def selected(self, place, query):
        """The objects of a list."""
        wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        return [
            each for key, each in self.objects.objects.items()
            if key[:3] == place[:3] and (not name or key[3] == name)
            and wanted.items() <= each["metadata"].get("labels", {}).items()
        ]  # fmt: skip

    def watch(self, place, query):
        """Sends what is created and changed, but not what is deleted, until the client closes the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = int(query.get("resourceVersion") or 0)
        while not select.select([self.connection], [], [], 0)[0]:
            with self.objects.lock:
                news = [each for each in self.selected(place, query) if int(each["metadata"]["resourceVersion"]) > seen]
                events = "".join(json.dumps({"type": "MODIFIED", "object": each}) + "\n" for each in news).encode()
                seen = self.objects.version
            if events:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(events), events))
            with self.objects.lock:
                self.objects.lock.wait_for(lambda: self.objects.version > seen, timeout=0.1)
        self.close_connection = True

    def do_POST(self):
        place, new = self.place(), self.body()
        place = (*place[:3], new["metadata"]["name"])
        with self.objects.lock:
            if place in self.objects.objects:
                return self.refuse(409, "AlreadyExists", f"{place[1]} {place[3]} already exists")
            return self.answer(201, self.objects.put(place, new))

    def do_PUT(self):
        with self.objects.lock:
            return self.answer(200, self.objects.put(self.place(), self.body()))

    def do_PATCH(self):
        place, patch = self.place(), self.body()
        with self.objects.lock:
            if place not in self.objects.objects:
                return self.refuse(404, "NotFound", f"{place[1]} {place[3]} not found")
            strategic = "strategic" in self.headers["Content-Type"]
            new = patched(copy.deepcopy(self.objects.objects[place]), patch, strategic)
            return self.answer(200, self.objects.put(place, new))

    def do_DELETE(self):
        place = self.place()
        self.body()
        with self.objects.lock:
            gone = self.objects.objects.pop(place, None)
        return self.answer(200, gone) if gone else self.refuse(404, "NotFound", f"{place[1]} {place[3]} not found")


def serving(objects, handler, port):
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Served", (handler,), {"objects": objects}))
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    serving(Objects(), Handler, int(sys.argv[1])).serve_forever()
