"""Install the chart into the live API server that KUBECONFIG names, look whether all of it was taken, and remove it.

It makes a namespace of its own and deletes it at the end. Nothing has to run for this: the API server judges every
manifest strictly. With --image the pods have to come up too.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from deploy import manifests

ACCOUNT = "dragoman-test"


def kubectl(*words: str, given: str = "") -> str:
    """Run kubectl; ends with its complaint when it fails."""
    done = subprocess.run(["kubectl", *words], input=given, capture_output=True, text=True, check=False)  # noqa: S603, S607 - the operator's own kubectl
    if done.returncode:
        sys.exit(f"kubectl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def known(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what this cluster has no kind for: the Prometheus operator's, where it is not installed."""
    kinds = {line.split()[-1] for line in kubectl("api-resources", "--no-headers").splitlines() if line.strip()}
    missing = sorted({document["kind"] for document in documents} - kinds)
    if missing:
        print(f"left out, as this cluster does not know them: {', '.join(missing)}")
    return [document for document in documents if document["kind"] in kinds]


def install(documents: list[dict[str, Any]], namespace: str) -> None:
    """Let the API server judge every manifest, then make all of it."""
    with tempfile.TemporaryDirectory() as folder:
        manifests.write(documents, namespace, Path(folder))
        for mode in ("server", "none"):
            where = ("--namespace", namespace, "--filename", folder)
            kubectl("apply", "--server-side", "--validate=strict", f"--dry-run={mode}", *where)


def look(documents: list[dict[str, Any]], namespace: str, *, wait: bool) -> None:
    """Ask for everything again by its name; with `wait` the deployments have to become ready."""
    for document in documents:
        kind, name = document["kind"], document["metadata"]["name"]
        kubectl("get", kind, name, "--namespace", namespace)
        if wait and kind == "Deployment":
            kubectl("rollout", "status", f"deployment/{name}", "--namespace", namespace, "--timeout=300s")
    print(f"{len(documents)} objects were taken as they are: {', '.join(sorted({one['kind'] for one in documents}))}")


def main() -> None:
    """Read the command line, install, look, and remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=Path, help="a file of values, YAML")
    parser.add_argument("--image", default="", help="an image that the cluster can pull, REPOSITORY:TAG")
    given = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        sys.exit("KUBECONFIG is not set: it names the cluster to install into")
    if not shutil.which("kubectl"):
        sys.exit("kubectl is not installed")
    values = yaml.safe_load(given.values.read_text(encoding="utf-8")) if given.values else {}
    if given.image:
        repository, _, tag = given.image.rpartition(":")
        values = {**values, "image": {"repository": repository, "tag": tag}}
    namespace = f"{ACCOUNT}-{secrets.token_hex(3)}"
    kubectl("create", "namespace", namespace)
    try:
        documents = known(manifests.documents(values, "dragoman", namespace))
        install(documents, namespace)
        look(documents, namespace, wait=bool(given.image))
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


if __name__ == "__main__":
    main()
