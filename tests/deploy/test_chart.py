"""The Helm chart: every manifest that it makes is one that Kubernetes takes, and fits what the bot really has."""

import functools
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import helm_python
import kubernetes_validate
import pytest
import yaml
from tests.deploy.conftest import DEPLOY, ROOT, RULES

from dragoman.errors import ConfigError
from dragoman.service import installation

CHART: Final = DEPLOY / "helm" / "dragoman"
VERSIONS: Final = ("1.30", "1.36")
"""The oldest that the chart allows, and a recent one."""
INGRESS: Final = {"enabled": True, "host": "bot.example.org", "className": "public", "tlsSecret": "bot-tls"}
CONFIG: Final = """
plugins = ["rules", "echo"]

[plugin.rules]
file = "rules.yaml"

[accounts.team]
platform = "slack"
signing_secret = "env:SLACK_SIGNING_SECRET"
bot_token = "file:/etc/dragoman/secrets/slack/bot-token"
"""
EVERYTHING: Final[dict[str, Any]] = {
    "image": {"repository": "registry.example.org/dragoman", "tag": "1.2.3", "pullSecrets": ["registry"]},
    "accounts": {"env": ["slack-env"], "files": ["slack"]},
    "config": CONFIG,
    "configFiles": {"rules.yaml": "exact:\n  hi: Hello.\n"},
    "env": {"DRAGOMAN_TURNS": 32, "DRAGOMAN_RETENTION__RAW": 3},
    "gateway": {"linger": 0, "resources": {"requests": {"cpu": "1"}}, "podLabels": {"team": "chat"}},
    "engine": {"autoscaling": {"max": 20}, "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high"},
    "connector": {"replicas": 3, "tolerations": [{"key": "spot", "operator": "Exists"}]},
    "media": {"existingClaim": "bot-media"},
    "ingress": {**INGRESS, "oauth": True, "chat": {"enabled": True}},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "serviceAccount": {"annotations": {"example.org/role": "bot"}},
}
MATRIX: Final[dict[str, dict[str, Any]]] = {
    "as it comes": {},
    "together": {"split": False},
    "together with everything": {**EVERYTHING, "split": False},
    "everything": EVERYTHING,
    "nothing that is optional": {
        "defaults": {"autoscaling": {"enabled": False}},
        "podDisruptionBudget": {"enabled": False},
        "topologySpread": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
    },
    "haproxy": {"ingress": {**INGRESS, "controller": "haproxy", "hooks": {"balancing": "least"}}},
    "haproxy-ingress": {"ingress": {**INGRESS, "controller": "haproxy-ingress", "chat": {"enabled": True}}},
    "a controller without annotations": {"ingress": {**INGRESS, "controller": "other"}},
    "another controller": {"ingress": {**INGRESS, "controller": "other", "annotations": {"example.org/a": "b"}}},
    "behind a load balancer": {"service": {"type": "LoadBalancer"}, "publicUrl": "https://bot.example.org"},
    "a name of its own": {"fullnameOverride": "helper", "serviceAccount": {"name": "helper-account"}},
}
CASES: Final = pytest.mark.parametrize("values", MATRIX.values(), ids=list(MATRIX))


@functools.cache
def tool() -> ModuleType:
    """The script behind `make manifests`."""
    spec = importlib.util.spec_from_file_location("manifests", DEPLOY / "manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _rendered(values: str) -> list[dict[str, Any]]:
    everything: list[dict[str, Any]] = tool().documents(json.loads(values), "bot", "chat")
    return everything


def rendered(values: dict[str, Any], kind: str = "") -> list[dict[str, Any]]:
    """Return what the chart makes of the values, of one kind or all."""
    return [one for one in _rendered(json.dumps(values)) if kind in {"", one["kind"]}]


def pods(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each role, its pod and its container."""
    for deployment in rendered(values, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield deployment["metadata"]["labels"]["app.kubernetes.io/component"], pod, container


@CASES
def test_the_chart_has_no_lint(values: dict[str, Any]) -> None:
    report = helm_python.lint(str(CHART), values, strict=True)

    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("version", VERSIONS)
@CASES
def test_kubernetes_takes_every_manifest(values: dict[str, Any], version: str) -> None:
    documents = rendered(values)

    assert len({(one["kind"], one["metadata"]["name"]) for one in documents}) == len(documents) > 5
    for one in documents:
        if one["apiVersion"] != "monitoring.coreos.com/v1":
            kubernetes_validate.validate(one, version, strict=True)


def test_a_manifest_that_kubernetes_would_not_take_is_found_out() -> None:
    (wrong,) = [json.loads(json.dumps(one)) for one in rendered({}, "Service") if "metrics" in one["metadata"]["name"]]
    wrong["spec"]["ports"][0]["targetport"] = "http"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"gatway": {}}, "gatway"),
        ({"gateway": {"linger": -1}}, "linger"),
        ({"engine": {"replicas": "two"}}, "replicas"),
        ({"env": {"PATH": "/"}}, "PATH"),
        ({"ingress": {"hooks": {"balancing": "random"}}}, "balancing"),
        ({"secret": {"name": ""}}, "name"),
        ({"ingress": {"enabled": True}}, "ingress.host is needed"),
        ({"defaults": {"grace": 30}}, "must be more than preStop"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(complaint)):
        rendered(values)


@CASES
def test_every_pod_is_one_of_the_restricted_profile(values: dict[str, Any]) -> None:
    for _, pod, container in pods(values):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests"} <= set(container["resources"])


@CASES
def test_an_orderly_stop_has_the_time_that_it_takes(values: dict[str, Any]) -> None:
    for role, pod, container in pods(values):
        before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        environment = {one["name"]: one.get("value") for one in container["env"]}

        assert before + 25 < pod["terminationGracePeriodSeconds"] == 40
        assert float(environment["DRAGOMAN_LINGER"] or "") < 20
        if values.get("gateway", {}).get("linger") != 0 or values.get("split") is False:
            assert (float(environment["DRAGOMAN_LINGER"] or "") > 0) == (role in {"gateway", "all"})


@CASES
def test_what_points_at_pods_finds_them(values: dict[str, Any]) -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in rendered(values, "Deployment")]
    names = {one["metadata"]["name"] for one in rendered(values, "Deployment")}
    selectors = [one["spec"]["selector"] for one in rendered(values, "Service")]
    for kind, where in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        selectors += [one["spec"][where]["matchLabels"] for one in rendered(values, kind)]

    assert all(any(wanted.items() <= found.items() for found in labels) for wanted in selectors)
    assert {one["spec"]["scaleTargetRef"]["name"] for one in rendered(values, "HorizontalPodAutoscaler")} <= names
    for monitor in rendered(values, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (service,) = [one for one in rendered(values, "Service") if wanted.items() <= one["metadata"]["labels"].items()]
        assert {port["name"] for port in service["spec"]["ports"]} >= {
            end["port"] for end in monitor["spec"]["endpoints"]
        }


@CASES
def test_what_a_pod_mounts_and_names_is_there(values: dict[str, Any]) -> None:
    services = {one["metadata"]["name"] for one in rendered(values, "Service")}
    maps = {one["metadata"]["name"] for one in rendered(values, "ConfigMap")}
    for _, pod, container in pods(values):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["config"]["configMap"]["name"] in maps
        assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    for ingress in rendered(values, "Ingress"):
        paths = ingress["spec"]["rules"][0]["http"]["paths"]
        assert {path["backend"]["service"]["name"] for path in paths} <= services


def test_two_to_ten_replicas_go_up_fast_and_down_slowly() -> None:
    scalers = {one["metadata"]["name"]: one["spec"] for one in rendered({}, "HorizontalPodAutoscaler")}
    wanted = {one["resource"]["name"]: one["resource"]["target"] for one in scalers["bot-dragoman-engine"]["metrics"]}
    down = scalers["bot-dragoman-engine"]["behavior"]["scaleDown"]

    assert set(scalers) == {"bot-dragoman-gateway", "bot-dragoman-engine"}
    assert {(one["minReplicas"], one["maxReplicas"]) for one in scalers.values()} == {(2, 10)}
    assert {name: target["averageUtilization"] for name, target in wanted.items()} == {"cpu": 70, "memory": 80}
    assert down["stabilizationWindowSeconds"] == 300
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    for _, _, container in pods({}):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])  # of which the per cents are


def test_what_is_scaled_has_no_fixed_number() -> None:
    fixed = {one["metadata"]["name"]: one["spec"].get("replicas") for one in rendered({}, "Deployment")}

    assert fixed == {"bot-dragoman-gateway": None, "bot-dragoman-engine": None, "bot-dragoman-connector": 2}


@pytest.mark.parametrize(
    ("controller", "balancing", "annotation"),
    [
        ("nginx", "round-robin", ("nginx.ingress.kubernetes.io/load-balance", "round_robin")),
        ("nginx", "least", ("nginx.ingress.kubernetes.io/load-balance", "ewma")),
        ("nginx", "hash", ("nginx.ingress.kubernetes.io/upstream-hash-by", "$cookie_dragoman_chat$remote_addr")),
        ("haproxy", "round-robin", ("haproxy.org/load-balance", "roundrobin")),
        ("haproxy", "least", ("haproxy.org/load-balance", "leastconn")),
        ("haproxy", "hash", ("haproxy.org/load-balance", "source")),
        ("haproxy", "hash", ("haproxy.org/backend-config-snippet", "hash-type consistent")),
        ("haproxy-ingress", "round-robin", ("haproxy-ingress.github.io/balance-algorithm", "roundrobin")),
        ("haproxy-ingress", "least", ("haproxy-ingress.github.io/balance-algorithm", "leastconn")),
        ("haproxy-ingress", "hash", ("haproxy-ingress.github.io/balance-algorithm", "hash req.cook(dragoman_chat)")),
        ("haproxy-ingress", "hash", ("haproxy-ingress.github.io/config-backend", "hash-type consistent")),
    ],
)
def test_the_ingress_is_told_how_to_balance(controller: str, balancing: str, annotation: tuple[str, str]) -> None:
    values = {"ingress": {**INGRESS, "controller": controller, "hooks": {"balancing": balancing}}}
    found = {one["metadata"]["name"]: one["metadata"]["annotations"] for one in rendered(values, "Ingress")}

    assert annotation in found["bot-dragoman-hooks"].items()


def test_each_kind_of_traffic_has_its_policy_and_a_service_of_its_own() -> None:
    """A controller keeps one policy for a Service: of two Ingresses with the same one, only the first is heard."""
    values = {"ingress": {**INGRESS, "chat": {"enabled": True}}}
    found, key = {}, "nginx.ingress.kubernetes.io/"
    for one in rendered(values, "Ingress"):
        paths = one["spec"]["rules"][0]["http"]["paths"]
        (service,) = {path["backend"]["service"]["name"] for path in paths}
        annotations = one["metadata"]["annotations"]
        found[service] = annotations.get(key + "load-balance") or annotations[key + "upstream-hash-by"]

    assert found == {
        "bot-dragoman-hooks": "round_robin",
        "bot-dragoman-waiting": "ewma",
        "bot-dragoman-chat": "$cookie_dragoman_chat$remote_addr",
    }


def test_a_request_that_waits_for_its_reply_is_waited_for() -> None:
    """`reply_within` is 300 seconds at most."""
    for controller, key in (
        ("nginx", "nginx.ingress.kubernetes.io/proxy-read-timeout"),
        ("haproxy", "haproxy.org/timeout-server"),
        ("haproxy-ingress", "haproxy-ingress.github.io/timeout-server"),
    ):
        found = rendered({"ingress": {**INGRESS, "controller": controller}}, "Ingress")
        (waiting,) = [one for one in found if one["metadata"]["name"].endswith("-waiting")]
        assert int(waiting["metadata"]["annotations"][key].rstrip("s")) > 300


def test_only_what_is_meant_is_published() -> None:
    def published(**more: Any) -> set[str]:
        found = rendered({"ingress": {**INGRESS, **more}}, "Ingress")
        return {path["path"] for one in found for path in one["spec"]["rules"][0]["http"]["paths"]}

    hooks = {"/hooks", "/webhook", "/hooks/webhook"}
    assert published() == hooks
    assert published(waiting={"paths": ["/hooks/ask"]}) == {"/hooks", "/hooks/ask"}
    assert published(waiting={"paths": []}) == {"/hooks"}
    assert published(oauth=True) == {*hooks, "/oauth"}
    assert published(chat={"enabled": True}) == {*hooks, "/chat", "/static", "/"}


def test_the_rules_are_those_that_are_shipped_and_tested() -> None:
    (found,) = rendered(EVERYTHING, "PrometheusRule")
    shipped = [yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for path in RULES]

    assert found["spec"]["groups"] == [group for groups in shipped for group in groups]


def test_the_job_is_one_that_the_alerts_look_for() -> None:
    (monitor,) = rendered(EVERYTHING, "ServiceMonitor")
    relabelled = {one["targetLabel"]: one for one in monitor["spec"]["endpoints"][0]["relabelings"]}

    assert "dragoman" in relabelled["job"]["replacement"]


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return a container's variables, each secret one with a value that fits."""
    secret = {"DRAGOMAN_STORE": "postgresql://dragoman@db/dragoman", "DRAGOMAN_CACHE__URL": "redis://cache:6379/0"}
    return {
        one["name"]: one.get("value", secret.get(one["name"], "a-secret-of-the-tests-of-32-letters"))
        for one in container["env"]
    }


@CASES
def test_the_bot_understands_its_settings(values: dict[str, Any], tmp_path: Path) -> None:
    (files,) = rendered(values, "ConfigMap")
    token = tmp_path / "bot-token"
    token.write_text("xoxb-of-the-tests", encoding="utf-8")
    for name, text in files["data"].items():
        (tmp_path / name).write_text(
            text.replace("/etc/dragoman/secrets/slack/bot-token", str(token)), encoding="utf-8"
        )
    for role, _, container in pods(values):
        words = container["command"] + container["args"]
        environ = {**environment(container), "SLACK_SIGNING_SECRET": "a-signing-secret-of-the-tests"}
        found = installation.load(
            data=str(tmp_path), configuration=str(tmp_path / "dragoman.toml"), environ=environ, overrides={}
        )
        installation.load_accounts(found, installation.load_plugins(found))

        assert words[:2] == ["dragoman", "run"]
        assert words[words.index("--role") + 1] == role
        assert (found.settings.host, found.settings.port) == ("0.0.0.0", 8080)
        assert found.settings.store.reveal().startswith("postgresql://")
        assert found.settings.cache.url.reveal().startswith("redis://")


def test_a_setting_that_does_not_exist_would_be_found_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="turnz"):
        test_the_bot_understands_its_settings({"env": {"DRAGOMAN_TURNZ": 1}}, tmp_path)


@CASES
def test_no_service_of_the_cluster_becomes_a_setting(values: dict[str, Any]) -> None:
    """Kubernetes would make DRAGOMAN_PORT=tcp://... of a Service named dragoman."""
    assert all(pod["enableServiceLinks"] is False for _, pod, _ in pods(values))


def test_what_changes_in_the_configuration_rolls_the_pods() -> None:
    def sums(**values: Any) -> set[str]:
        templates = [one["spec"]["template"] for one in rendered(values, "Deployment")]
        return {template["metadata"]["annotations"]["checksum/config"] for template in templates}

    assert len(sums() | sums(config="plugins = []\n") | sums(configFiles={"a.yaml": "b"})) == 3


def test_manifests_for_kustomize_are_the_same_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(EVERYTHING), encoding="utf-8")
    to = tmp_path / "manifests"
    words = ["manifests.py", "--values", str(tmp_path / "values.yaml"), "--name", "bot", "--namespace", "chat"]
    monkeypatch.setattr(sys, "argv", [*words, "--to", str(to)])

    tool().main()

    kustomization = yaml.safe_load((to / "kustomization.yaml").read_text(encoding="utf-8"))
    written = [yaml.safe_load((to / name).read_text(encoding="utf-8")) for name in kustomization["resources"]]
    assert kustomization["namespace"] == "chat"
    assert sorted(map(json.dumps, written)) == sorted(map(json.dumps, rendered(EVERYTHING)))


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    release = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)

    assert release is not None
    assert chart["appVersion"] == release[1]
