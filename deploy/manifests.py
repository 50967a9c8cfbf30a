"""Render the chart into plain manifests with a kustomization.yaml beside them, for those who do not use Helm."""

import argparse
import json
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parent / "helm" / "dragoman"


def documents(values: dict[str, Any], name: str, namespace: str) -> list[dict[str, Any]]:
    """Return everything that the chart makes of the values, in Helm's order of files."""
    helm_python.disable_logging()
    rendered = helm_python.Chart.load(str(CHART)).render(values, name=name, namespace=namespace)
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def write(everything: list[dict[str, Any]], namespace: str, folder: Path) -> list[str]:
    """Write one file for each document, and the kustomization that names them; returns the files' names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for document in everything:
        names.append(f"{document['kind'].lower()}-{document['metadata']['name']}.yaml")
        (folder / names[-1]).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": sorted(names),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False), encoding="utf-8")
    return names


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=Path, help="a file of values, YAML or JSON")
    parser.add_argument("--name", default="dragoman", help="the release's name")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--to", type=Path, default=Path("build/manifests"), help="the folder to write into")
    given = parser.parse_args()
    values = yaml.safe_load(given.values.read_text(encoding="utf-8")) if given.values else {}
    names = write(documents(json.loads(json.dumps(values)), given.name, given.namespace), given.namespace, given.to)
    print(f"{len(names)} manifests are in {given.to}: kubectl apply --kustomize {given.to}")


if __name__ == "__main__":
    main()
