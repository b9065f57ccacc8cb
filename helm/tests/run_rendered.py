"""Starts the pods of a rendered release with the real binaries, and runs helm/smoke against them: python run_rendered.py
RENDERED.yaml BINARIES. It fails if the services do not accept the variables, files and probes of the charts, or the keys that the
Jobs create."""

import os
import shutil
import subprocess
import sys

import yaml

from cluster import run_jobs
from pods import Cluster, Pod, check_upgrade, upgrade_checks


def smoke(cluster):
    """Runs the pod of `helm test`, with sh and curl of this machine instead of those of its image."""
    pod = Pod(cluster, "smoke", next(each for (kind, _), each in cluster.objects.items() if kind == "Pod")["spec"])
    ran = subprocess.run(pod.command(), capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"run_rendered: helm test failed: {ran.stdout}{ran.stderr}")
    print(f"  {ran.stdout.strip()}")


def smoke_says(expected, url, password="wrong"):
    """Runs helm/smoke so that it fails, and checks its message."""
    environment = {**os.environ, "SMOKE_USERNAME": "admin", "SMOKE_PASSWORD": password, "SMOKE_TIMEOUT": "1"}
    ran = subprocess.run(["helm/smoke", url], env=environment, capture_output=True, text=True)
    if ran.returncode != 1 or expected not in ran.stderr:
        raise SystemExit(f"run_rendered: helm/smoke {url} should print `{expected}`, but printed {ran.stdout}{ran.stderr}")


def main(rendered, binaries):
    with open(rendered, encoding="utf-8") as file:
        rendered = [each for each in yaml.safe_load_all(file) if each]
    checks = upgrade_checks(rendered)
    secrets = run_jobs([each for each in rendered if each not in checks], binaries)
    cluster = Cluster(rendered + secrets, binaries)
    pods = [Pod.of(cluster, workload) for workload in cluster.workloads()]
    try:
        for pod in pods:
            pod.start()
        for pod in pods:
            pod.wait_until_ready()
        smoke(cluster)
        check_upgrade(cluster, checks, expected=3)
        smoke_says("/api/login: answered 401 instead of 201", "http://127.0.0.1:8001")
        smoke_says("/health/ready: not ready after 1 s", "http://127.0.0.1:8009")
        # As in a rolling update: each pod exits cleanly in time, and its data is there for the next one.
        for pod in pods:
            code, seconds = pod.stop()
            if code:
                raise SystemExit(f"run_rendered: {pod.name} ended with {code}:\n{pod.log.read_text()}")
            print(f"  {pod.name} ended with 0 after {seconds:.1f} s")
        for pod in pods:
            pod.start()
        for pod in pods:
            pod.wait_until_ready()
        smoke(cluster)
    finally:
        for pod in pods:
            pod.kill()
        shutil.rmtree(cluster.folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
