"""What the files of deploy/ have the program do, as JSON: command lines, variables, health checks, configurations.

    deploy.py FOLDER

Reads them as Docker and Kubernetes do; what is not YAML, or names a service, secret or volume that is not there, ends it.
"""

import json
import re
import sys
from pathlib import Path

import yaml

folder = Path(sys.argv[1])
found = {"commands": [], "variables": [], "configurations": [], "services": {}}


def filled(text):
    """Compose's own replacement where nothing is set: ${NAME}, ${NAME:-default}, ${NAME:+if it is set}, ${NAME:?message}."""

    def value(match):
        operator, word = match[2], match[3]
        return {None: "x", ":?": "x", ":-": word, ":+": ""}[operator]

    return re.sub(r"\$\{(\w+)(?:(:[-?+])([^}]*))?\}", value, text)


def compose(path):
    document = yaml.safe_load(filled(path.read_text()))
    for name, service in document["services"].items():
        where = f"{path.name}: {name}"
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], where
        assert service["user"] == "65532:65532", where
        found["services"].setdefault(path.name, []).append(name)
        found["commands"].append(service["command"])
        variables = service.get("environment", {})
        found["variables"] += list(variables)
        given = [variable for variable, text in variables.items() if variable.startswith("ROLESANYWHERE_") and text]
        assert len(given) in (0, 5), f"{where}: {given} without the others"
        # The image has one that suits every server; nothing takes it away, but it may be given more time.
        assert set(service.get("healthcheck", {})) <= {"retries"}, where
        for secret in service.get("secrets", []):
            assert (secret["source"] if isinstance(secret, dict) else secret) in document["secrets"], where
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith(("/", ".", "x/")) or source in document["volumes"], where
        # HOME of the image: nothing else can be written.
        assert f"{name}:/data" in service.get("volumes", []), f"{where}: its state has no place"
        ports = service.get("ports", [])
        assert not ports or any("0.0.0.0" in word for word in service["command"]), f"{where}: nobody outside reaches it"


def kubernetes(path):
    documents = {document["kind"]: document for document in yaml.safe_load_all(path.read_text())}
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    account = documents["ServiceAccount"]["metadata"]
    assert pod["serviceAccountName"] == account["name"] and "eks.amazonaws.com/role-arn" in account["annotations"]
    assert pod["securityContext"]["runAsUser"] == 65532
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] and container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    names = [port["name"] for port in container["ports"]]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in names
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert documents["Service"]["spec"]["selector"] == labels
    found["services"][path.name] = [container["name"]]
    found["commands"].append(container["args"])
    found["variables"] += [variable["name"] for variable in container["env"]]
    found["configurations"] += list(documents["ConfigMap"]["data"].values())


compose(folder / "compose/compose.yaml")
compose(folder / "swarm/stack.yaml")
compose(folder / "swarm/gateway.yaml")
kubernetes(folder / "kubernetes/artifacts.yaml")
for path in sorted((folder / "prometheus").iterdir()):
    assert isinstance(yaml.safe_load(path.read_text()), dict), path
print(json.dumps(found))
