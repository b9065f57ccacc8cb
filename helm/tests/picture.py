"""Checks that docs/pictures/kubernetes.svg shows what a rendered release does: for each pod, all of its ports and the Secrets that it
gets, and no others. python picture.py RENDERED PICTURE

The group of a pod in the picture has the name of its first container as its id: ports are texts of the class `mono`, Secrets those of
the class `okay`, without the name of the release."""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

import yaml

RELEASE = "microservices-app-"
SVG = "{http://www.w3.org/2000/svg}"


def pods(objects):
    """Ports and Secrets of each pod, by the name of its first container. A Job that checks an upgrade is the pod that it checks."""
    for each in objects:
        spec = each["spec"] if each["kind"] == "Pod" else each.get("spec", {}).get("template", {}).get("spec")
        if not spec or each["metadata"]["name"].endswith("-check"):
            continue
        container = spec["containers"][0]
        sources = [part for volume in spec.get("volumes", []) for part in (volume, *volume.get("projected", {}).get("sources", []))]
        secrets = [source["secret"].get("secretName") or source["secret"]["name"] for source in sources if "secret" in source]
        secrets += [variable["valueFrom"]["secretKeyRef"]["name"] for variable in container.get("env", []) if "valueFrom" in variable]
        ports = {str(port["containerPort"]) for port in container.get("ports", [])}
        yield container["name"], ports, {secret.removeprefix(RELEASE) for secret in secrets}


def shown(group):
    """Ports and Secrets in a group of the picture."""
    texts = [(text.get("class"), text.text) for text in group.iter(f"{SVG}text")]
    ports = {port for style, text in texts if style == "mono" for port in re.findall(r"\b\d{4}\b", text)}
    return ports, {text for style, text in texts if style == "okay"}


def main(rendered, picture):
    objects = [each for each in yaml.safe_load_all(pathlib.Path(rendered).read_text(encoding="utf-8")) if each]
    groups = {group.get("id"): group for group in ElementTree.parse(picture).iter(f"{SVG}g")}
    breaches = []
    for name, *wanted in pods(objects):
        if name not in groups:
            breaches.append(f"{picture}: the pod {name} is not in it")
        elif (found := list(shown(groups[name]))) != wanted:
            breaches.append(f"{picture}: {name} has the ports and Secrets {wanted}, but the picture shows {found}")
    if breaches:
        raise SystemExit("\n".join(breaches))


if __name__ == "__main__":
    main(*sys.argv[1:])
