"""The Kubernetes manifests without a cluster: against its schemas, built where kubectl is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.command_line import ROOT

FOLDER = ROOT / "kubernetes"
OVERLAYS = {
    "by-url": ("services.env", "DATABASE_URL=postgresql://x\nBROKER_URL=amqp://x\n"),
    "with-services": (".env", "POSTGRES_PASSWORD=pg-secret\nRABBITMQ_PASSWORD=mq-secret\n"),
}
VERSIONS = ("1.29", "1.35")


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


FILES = sorted(FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_manifest_fits_the_schemas_of_kubernetes(path: Path, version: str) -> None:
    for each in documents(path):
        if each["kind"] == "Kustomization":
            for resource in each["resources"]:
                assert (path.parent / resource).exists(), resource
        else:
            kubernetes_validate.validate(each, version, strict=True)


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in FILES:
        for each in documents(path):
            if each["kind"] == "Deployment":
                yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def test_pods_are_closed_bounded_and_know_when_they_are_ready() -> None:
    names = [name for name, _ in pods()]
    assert set(names) == {
        *("application", "workers", "locust-master", "locust-workers", "postgres", "rabbitmq"),
    }
    for name, spec in pods():
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        (container,) = spec["containers"]
        resources = container["resources"]
        # guaranteed: what is measured is not taken away
        assert resources["requests"] == resources["limits"], name
        # a Locust worker listens nowhere
        assert "readinessProbe" in container or name == "locust-workers", name
        if container["image"] == "asyncdb-bench":
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            closed = container["securityContext"]
            assert closed["readOnlyRootFilesystem"] is True, name
            assert closed["capabilities"]["drop"] == ["ALL"], name
        else:
            assert re.search(r":[\w.-]*\d+\.\d+", container["image"]), name


def test_the_commands_are_those_of_the_compose_file_which_are_run_in_the_tests() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    commands = {name: spec["containers"][0].get("command") for name, spec in pods()}
    assert commands["application"] == services["app"]["command"]
    assert commands["workers"] == services["worker"]["command"]
    named = [
        "application" if each == "app" else each for each in services["locust-worker"]["command"]
    ]
    wanted = [each.replace("//app:", "//application:") for each in named]
    assert commands["locust-workers"] == wanted
    head = commands["locust-master"][:4]
    assert head == services["locust"]["command"][:4]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_what_fits_too(overlay: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    name, text = OVERLAYS[overlay]
    (tmp_path / "kubernetes" / overlay / name).write_text(text)
    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "kubernetes" / overlay)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    built = [each for each in yaml.safe_load_all(done.stdout) if each]
    for each in built:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    by_kind: dict[str, list[str]] = {}
    for each in built:
        by_kind.setdefault(each["kind"], []).append(each["metadata"]["name"])
    assert {"application", "workers", "locust-master", "locust-workers"} <= set(
        by_kind["Deployment"]
    )
    assert ("postgres" in by_kind["Deployment"]) == (overlay == "with-services")
    # what is referred to is there, under the name that Kustomize gave it
    generated = {*by_kind["Secret"], *by_kind["ConfigMap"]}
    referred = set(re.findall(r"name: ((?:services|work)-\w+)", done.stdout))
    assert referred == generated
    images = set(re.findall(r"image: (asyncdb-bench\S*)", done.stdout))
    assert images == {"asyncdb-bench:0.1.0"}


def test_an_overlay_without_its_secrets_is_refused() -> None:
    for overlay, (name, _) in OVERLAYS.items():
        assert not (FOLDER / overlay / name).exists()
        assert name in (FOLDER / overlay / "kustomization.yaml").read_text()
    assert {".env", "services.env"} <= set((FOLDER / ".gitignore").read_text().split())
