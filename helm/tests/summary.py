"""Prints what a rendered release runs, and nothing that another check already says: per object the numbers, variables, files and
addresses that the values decide. python summary.py RENDERED

Labels, selectors, hardening and probes are the business of check_rendered.py, network policies that of connectivity.py, and the
form of each object that of the schemas of Kubernetes."""

import sys

import yaml


def source(volume):
    """Where the files of a volume come from."""
    parts = volume.get("projected", {}).get("sources", []) or [volume]
    found = []
    for part in parts:
        if "configMap" in part:
            found.append(f"ConfigMap {part['configMap']['name']}")
        elif "secret" in part:
            found.append(f"Secret {part['secret'].get('secretName') or part['secret']['name']}")
        else:
            claim = part.get("persistentVolumeClaim", {}).get("claimName")
            medium = part.get("emptyDir", {}).get("medium", "an empty folder").lower()
            found.append(f"claim {claim}" if claim else medium if "emptyDir" in part else "another source")
    return ", ".join(found)


def variable(each):
    if "valueFrom" in each:
        wanted = each["valueFrom"]["secretKeyRef"]
        return f"{each['name']} from {wanted['key']} of Secret {wanted['name']}"
    return f"{each['name']}={each['value']}"


def pod(spec, claims, with_variables=True):
    sources = {volume["name"]: source(volume) for volume in spec.get("volumes", [])} | claims
    yield f"user {spec['securityContext']['runAsUser']}, stops within {spec.get('terminationGracePeriodSeconds', 30)} s"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        command = " ".join([*container.get("command", []), *container.get("args", [])])
        yield f"container {container['name']}: {container['image']} {command}".rstrip()
        resources = container["resources"]
        yield f"  requests {resources['requests']}, limits {resources['limits']}".replace("'", "")
        yield from (f"  {variable(each)}" for each in container.get("env", []) if with_variables)
        yield from (f"  {mount['mountPath']}: {sources[mount['name']]}" for mount in container.get("volumeMounts", []))


def workload(spec):
    claims = {claim["metadata"]["name"]: f"volume of {claim['spec']['resources']['requests']['storage']}, "
              f"{' '.join(claim['spec']['accessModes'])}" for claim in spec.get("volumeClaimTemplates", [])}
    yield f"replicas {spec.get('replicas', 'as the autoscaler says')}"
    yield from pod(spec["template"]["spec"], claims)


def details(each):
    spec, kind = each.get("spec", {}), each["kind"]
    if kind in ("Deployment", "StatefulSet"):
        yield from workload(spec)
    elif kind == "Pod":
        yield from pod(spec, {})
    elif kind == "Job":
        yield f"ends within {spec['activeDeadlineSeconds']} s"
        yield from pod(spec["template"]["spec"], {}, with_variables=False) # those of its service
    elif kind == "Service":
        yield f"{spec.get('type', 'ClusterIP')}, ports " + ", ".join(f"{port['name']} {port['port']}" for port in spec["ports"])
    elif kind == "HorizontalPodAutoscaler":
        yield f"{spec['minReplicas']} to {spec['maxReplicas']} at {spec['metrics'][0]['resource']['target']['averageUtilization']} % CPU"
    elif kind == "Ingress":
        certificate = spec.get("tls", [{}])[0].get("secretName", "none")
        yield f"class {spec.get('ingressClassName', 'default')}, host {spec['rules'][0]['host']}, certificate {certificate}"
    elif kind == "HTTPRoute":
        yield f"host {', '.join(spec['hostnames'])}, through {', '.join(parent['name'] for parent in spec['parentRefs'])}"
    elif kind == "ServiceMonitor":
        yield f"every {spec['endpoints'][0]['interval']}"
    elif kind == "PodDisruptionBudget":
        yield f"at most {spec['maxUnavailable']} at a time"
    elif kind in ("ConfigMap", "Secret"):
        yield from sorted(each.get("data", {}))
    elif kind == "Role":
        yield from (f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}" for rule in each["rules"])


def main(rendered):
    with open(rendered, encoding="utf-8") as file:
        objects = [each for each in yaml.safe_load_all(file) if each]
    for each in sorted(objects, key=lambda each: (each["metadata"]["name"], each["kind"])):
        hook = each["metadata"].get("annotations", {}).get("helm.sh/hook")
        print(f"{each['metadata']['name']}: {each['kind']}{f', for {hook}' if hook else ''}")
        for line in details(each):
            print(f"  {line}")


if __name__ == "__main__":
    main(*sys.argv[1:])
