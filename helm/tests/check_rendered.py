"""Checks what the schemas of Kubernetes do not: that the objects of a rendered release fit together and contain no secret, that every
pod is hardened, that docs/configuration.md or the YAML of the gateway knows every variable, and that Prometheus gives the services the
`job` that the alerts select. python check_rendered.py FILE DOCUMENT ALERTS [GIVEN]

GIVEN has objects that are in the cluster beside the release, to which it may refer."""

import pathlib
import re
import sys

import yaml

# How long the services may take after DRAIN_DELAY: 30 s for requests in flight, 20 s for the store.
DRAIN_SECONDS = 50
# What is in a Secret that `gateway keys kubernetes` creates, by its flag.
CREATED = {"--signing-key": "signing-key.pem", "--internal-key": "internal.key", "--password": "password"}


class Checks:
    def __init__(self, objects, given, variables, jobs):
        self.objects = objects
        self.given = given
        yamls = [each["data"].get("gateway.yaml", "") for each in objects if each["kind"] == "ConfigMap"]
        self.variables = variables | set(re.findall(r"\$\{([A-Z_]+)[:}]", "".join(yamls)))
        self.jobs = jobs
        self.breaches = []
        self.where = ""

    def check(self, holds, what):
        if not holds:
            self.breaches.append(f"{self.where}: {what}")

    def of(self, *kinds):
        """The objects of some kinds; each is named in the messages about it."""
        for each in self.objects:
            if each["kind"] in kinds:
                self.where = f"{each['kind']} {each['metadata']['name']}"
                yield each

    def named(self, kind, name):
        everything = [*self.objects, *self.given]
        found = [each for each in everything if each["kind"] == kind and each["metadata"]["name"] == name]
        self.check(len(found) == 1, f"refers to {kind} {name}, of which there are {len(found)}")
        return found[0] if found else {}

    def keys_of_secret(self, name):
        """The keys of a Secret that a Job creates, or that is beside the release."""
        given = [each for each in self.given if each["kind"] == "Secret" and each["metadata"]["name"] == name]
        if given:
            return given[0]["data"]
        jobs = [each for each in self.objects if each["kind"] == "Job"]
        arguments = [argument for job in jobs for argument in job["spec"]["template"]["spec"]["containers"][0].get("args", [])]
        flags = [argument.removesuffix(f"={name}") for argument in arguments if argument.endswith(f"={name}")]
        found = [CREATED[flag] for flag in flags if flag in CREATED]
        self.check(len(found) == 1, f"refers to Secret {name}, which {len(found)} Jobs create")
        return found

    def pods_with(self, labels):
        """The pod templates that a selector matches."""
        workloads = [each for each in self.objects if each["kind"] in ("Deployment", "StatefulSet", "Job")]
        pods = [each["spec"]["template"] for each in workloads] + [each for each in self.objects if each["kind"] == "Pod"]
        return [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]

    def all(self):
        for each in self.objects:
            self.where = f"{each['kind']} {each['metadata']['name']}"
            labels = each["metadata"].get("labels", {})
            self.check("app.kubernetes.io/name" in labels and "app.kubernetes.io/instance" in labels, "lacks labels")
            self.check(len(each["metadata"]["name"]) <= 63, "has a name of more than 63 characters")
            self.check(each["kind"] != "Secret" and "PRIVATE KEY" not in str(each), "is a secret, which helm would record")
        for each in self.of("Deployment", "StatefulSet"):
            selector = each["spec"]["selector"]["matchLabels"]
            template = each["spec"]["template"]
            self.check(selector.items() <= template["metadata"]["labels"].items(), "does not select its own pods")
            self.check(len(self.pods_with(selector)) == 1, "also selects the pods of others")
            claims = [claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", [])]
            self.pod(template["spec"], claims, is_service=True)
        for each in self.of("Pod"):
            self.pod(each["spec"], [], is_service=False)
        for each in self.of("Job"):
            self.pod(each["spec"]["template"]["spec"], [], is_service=False)
            self.check(each["spec"].get("activeDeadlineSeconds", 0) > 0, "may run for ever")
            self.check(len(self.pods_with(each["spec"]["template"]["metadata"]["labels"])) == 1, "has pods like others")
        for each in self.of("Role"):
            wanted = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
            self.check(each["rules"] == wanted, "gives other rights than to create Secrets")
        for each in self.of("RoleBinding"):
            self.named("Role", each["roleRef"]["name"])
            accounts = [self.named("ServiceAccount", subject["name"]) for subject in each["subjects"]]
            self.check(len(accounts) == 1, "gives rights to several accounts")
        for each in self.of("Service"):
            pods = self.pods_with(each["spec"]["selector"])
            self.check(len(pods) == 1, f"selects {len(pods)} kinds of pods")
            ports = [port["name"] for pod in pods for port in pod["spec"]["containers"][0]["ports"]]
            for port in each["spec"]["ports"]:
                self.check(port["targetPort"] in ports, f"targetPort {port['targetPort']} is not a port of its pods")
        for each in self.of("NetworkPolicy", "PodDisruptionBudget"):
            selector = each["spec"].get("podSelector") or each["spec"]["selector"]
            self.check(len(self.pods_with(selector["matchLabels"])) == 1, "selects no pods, or several kinds")
        for each in self.of("HorizontalPodAutoscaler"):
            target = each["spec"]["scaleTargetRef"]
            workload = self.named(target["kind"], target["name"])
            self.check("replicas" not in workload.get("spec", {}), "scales a workload with a fixed number of replicas, which would override it")
        for each in self.of("Ingress"):
            for path in [path for rule in each["spec"]["rules"] for path in rule["http"]["paths"]]:
                backend = path["backend"]["service"]
                ports = self.named("Service", backend["name"]).get("spec", {}).get("ports", [])
                self.check(backend["port"]["name"] in [port["name"] for port in ports], "uses a port that does not exist")
        for each in self.of("HTTPRoute"):
            for backend in [backend for rule in each["spec"]["rules"] for backend in rule["backendRefs"]]:
                ports = self.named("Service", backend["name"]).get("spec", {}).get("ports", [])
                self.check(backend["port"] in [port["port"] for port in ports], "uses a port that does not exist")
        for each in self.of("ServiceMonitor"):
            wanted = each["spec"]["selector"]["matchLabels"].items()
            services = [each for each in self.objects if each["kind"] == "Service"]
            found = [service for service in services if wanted <= service["metadata"]["labels"].items()]
            ports = [port["name"] for service in found for port in service["spec"]["ports"]]
            wanted = [endpoint["port"] for endpoint in each["spec"]["endpoints"]]
            self.check(ports == wanted, f"scrapes {wanted}, but selects {ports}")
            jobs = {service["metadata"]["labels"].get(each["spec"].get("jobLabel")) for service in found}
            self.check(jobs <= self.jobs, f"its targets get the job {jobs}, but the alerts know only {self.jobs}")

    def pod(self, pod, claims, is_service):
        security = pod["securityContext"]
        self.check(security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0, "may run as root")
        self.check(security.get("seccompProfile") == {"type": "RuntimeDefault"}, "has no seccomp profile")
        rights = [each for each in self.objects if each["kind"] == "RoleBinding" and each["subjects"][0]["name"] == pod.get("serviceAccountName")]
        self.check(pod.get("automountServiceAccountToken") is bool(rights), "gets a service account token for no right, or none for one")
        self.check(pod.get("enableServiceLinks") is False, "gets a variable for each Service")
        if "serviceAccountName" in pod:
            self.named("ServiceAccount", pod["serviceAccountName"])
        volumes = [volume["name"] for volume in pod.get("volumes", [])] + claims
        self.references(pod.get("volumes", []))
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            self.container(container, is_service)
            mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
            self.check(sorted(mounts) == sorted(volumes), f"mounts {mounts} of the volumes {volumes}")
        if is_service:
            delay = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}["DRAIN_DELAY"]
            needed = int(delay.removesuffix("s")) + DRAIN_SECONDS
            self.check(pod["terminationGracePeriodSeconds"] > needed, f"may take {needed} s to stop, and gets less")

    def references(self, volumes):
        for source in [part for volume in volumes for part in (volume, *volume.get("projected", {}).get("sources", []))]:
            if "persistentVolumeClaim" in source:
                name = source["persistentVolumeClaim"]["claimName"]
                sets = [each for each in self.objects if each["kind"] == "StatefulSet"]
                claims = [f"{claim['metadata']['name']}-{each['metadata']['name']}-0" for each in sets for claim in each["spec"]["volumeClaimTemplates"]]
                self.check(name in claims, f"mounts the claim {name}, which no StatefulSet has")
            if "configMap" in source:
                self.named("ConfigMap", source["configMap"]["name"])
            if "secret" in source:
                secret = source["secret"]
                data = self.keys_of_secret(secret.get("secretName") or secret["name"])
                for item in secret.get("items", []):
                    self.check(item["key"] in data, f"mounts {item['key']}, which the Secret does not have")

    def container(self, container, is_service):
        image = container["image"].rsplit("/", 1)[-1]
        self.check(":" in image and not image.endswith(":latest"), f"image {image} has no fixed tag")
        own = container["securityContext"]
        self.check(own.get("allowPrivilegeEscalation") is False, "may gain privileges")
        self.check(own.get("readOnlyRootFilesystem") is True, "has a writable root file system")
        self.check(own.get("capabilities") == {"drop": ["ALL"]}, "keeps capabilities")
        resources = container["resources"]
        self.check({"cpu", "memory"} <= resources["requests"].keys(), "has no resource requests")
        self.check("memory" in resources["limits"], "has no memory limit")
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    self.named(kind, source[field]["name"])
        names = [variable["name"] for variable in container.get("env", [])]
        self.check(len(names) == len(set(names)), "has a variable twice")
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                wanted = variable["valueFrom"]["secretKeyRef"]
                data = self.keys_of_secret(wanted["name"])
                self.check(wanted["key"] in data, f"takes {wanted['key']} from a Secret that does not have it")
        if is_service:
            unknown = {name.removesuffix("_FILE") for name in names} - self.variables
            self.check(not unknown, f"sets {sorted(unknown)}, which neither docs/configuration.md nor the YAML knows")
            ports = [port["name"] for port in container["ports"]]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.check(container.get(probe, {}).get("httpGet", {}).get("port") in ports, f"has no {probe}")


def loaded(file):
    return [each for each in yaml.safe_load_all(pathlib.Path(file).read_text(encoding="utf-8")) if each]


def main(rendered, document, alerts, *given):
    objects, given = loaded(rendered), [each for file in given for each in loaded(file)]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`)", pathlib.Path(document).read_text(encoding="utf-8"), re.MULTILINE)
    variables = {name for row in rows for name in re.findall(r"[A-Z_]+", row)}
    jobs = set(re.findall(r'\{job="([a-z]+)"', pathlib.Path(alerts).read_text(encoding="utf-8")))
    checks = Checks(objects, given, variables, jobs)
    checks.all()
    if checks.breaches:
        raise SystemExit("\n".join(checks.breaches))
    print(f"  {rendered}: {len(objects)} objects fit together")


if __name__ == "__main__":
    main(*sys.argv[1:])
