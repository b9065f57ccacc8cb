"""Asks network-config-analyzer (`nca`) which pods of a rendered release can reach which, and compares every line with the
expected ones: python connectivity.py NAMESPACE EXPECTED RENDERED.yaml… An additional line is a hole, a missing one an outage.

Besides the release there are an ingress controller, the cluster's DNS, Prometheus, another pod in the same namespace, and pods
of other namespaces.
"""

import pathlib
import subprocess
import sys
import tempfile

import yaml

KINDS = ("NetworkPolicy", "Deployment", "StatefulSet", "Job", "Pod")
OTHERS = [
    ("kube-system", "coredns", {"k8s-app": "kube-dns"}),
    ("kube-system", "metrics-server", {"k8s-app": "metrics-server"}),
    ("ingress-nginx", "ingress-controller", {}),
    ("monitoring", "prometheus", {}),
    ("default", "stranger", {}),
]


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}


def pod(where, name, labels):
    metadata = {"namespace": where, "name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": name, "image": name}]}}


def main(release, expected, *files):
    objects = [namespace(name) for name in {release, *(where for where, _, _ in OTHERS)}]
    objects += [pod(*other) for other in [*OTHERS, (release, "neighbour", {})]]
    for file in files:
        for each in yaml.safe_load_all(pathlib.Path(file).read_text(encoding="utf-8")):
            if each and each["kind"] in KINDS:
                each["metadata"]["namespace"] = release
                objects.append(each)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as scene:
        yaml.safe_dump_all(objects, scene)
        scene.flush()
        command = ["nca", "--connectivity", scene.name, "--pod_list", scene.name, "--ns_list", scene.name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = sorted(line for line in answer.splitlines() if line.startswith("src") and release in line)
    wanted = sorted(line for line in pathlib.Path(expected).read_text(encoding="utf-8").splitlines() if line.startswith("src"))
    differences = [f"  more than expected: {line}" for line in found if line not in wanted]
    differences += [f"  expected, but not there: {line}" for line in wanted if line not in found]
    if differences:
        raise SystemExit("\n".join([f"{expected}: the network is another", *differences]))
    print(f"  {len(found)} ways, as {expected} says")


if __name__ == "__main__":
    main(*sys.argv[1:])
