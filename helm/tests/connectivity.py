"""Asks network-config-analyzer (`nca`) which pods of a rendered release can reach which, and compares every line with the
expected ones: python connectivity.py NAMESPACE EXPECTED,… RENDERED.yaml… An additional line is a hole, a missing one an outage.

EXPECTED are names of files in the folder `connectivity`. Besides the release there are controllers of each kind by which clients may
come, others beside them that look much like them, the cluster's DNS, Prometheus, another pod in the same namespace, and pods of
other namespaces. The labels of the controllers are those of their own charts.
"""

import pathlib
import subprocess
import sys
import tempfile

import yaml

KINDS = ("NetworkPolicy", "Deployment", "StatefulSet", "Job", "Pod")
FOLDER = pathlib.Path(__file__).resolve().parent / "connectivity"


def envoy(where, name):
    """The labels that Envoy Gateway gives the proxy of a Gateway."""
    return {"gateway.envoyproxy.io/owning-gateway-namespace": where, "gateway.envoyproxy.io/owning-gateway-name": name}


OTHERS = [
    ("kube-system", "coredns", {"k8s-app": "kube-dns"}),
    ("kube-system", "metrics-server", {"k8s-app": "metrics-server"}),
    ("ingress-nginx", "ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"}),
    ("ingress-nginx", "admission", {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "admission-webhook"}),
    ("kube-system", "traefik", {"app.kubernetes.io/name": "traefik"}),  # as in k3s
    ("traefik", "traefik", {"app.kubernetes.io/name": "traefik"}),
    ("traefik", "neighbour", {}),
    ("default", "traefik", {"app.kubernetes.io/name": "traefik"}),
    ("gateways", "public", {"gateway.networking.k8s.io/gateway-name": "public"}),  # as of Istio, or NGINX Gateway Fabric
    ("gateways", "internal", {"gateway.networking.k8s.io/gateway-name": "internal"}),
    ("envoy-gateway-system", "envoy-public", envoy("gateways", "public")),
    ("envoy-gateway-system", "envoy-of-others", envoy("default", "public")),
    ("envoy-gateway-system", "envoy-gateway", {"control-plane": "envoy-gateway"}),
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
                each["spec"].pop("replicas", None)  # with several, nca reports their labels in the place of their name
                objects.append(each)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as scene:
        yaml.safe_dump_all(objects, scene)
        scene.flush()
        command = ["nca", "--connectivity", scene.name, "--pod_list", scene.name, "--ns_list", scene.name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = sorted(line for line in answer.splitlines() if line.startswith("src") and release in line)
    texts = [(FOLDER / f"{name}.txt").read_text(encoding="utf-8") for name in expected.split(",")]
    wanted = sorted(line for text in texts for line in text.splitlines() if line.startswith("src"))
    differences = [f"  more than expected: {line}" for line in found if line not in wanted]
    differences += [f"  expected, but not there: {line}" for line in wanted if line not in found]
    if differences:
        raise SystemExit("\n".join([f"{expected}: the network is another", *differences]))
    print(f"  {expected}: {len(found)} ways, as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
