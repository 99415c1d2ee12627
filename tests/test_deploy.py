"""What is in docs/deploy: that it fits together, and fits the code. Images are not built here, but all they run is."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.router import Config, Router, read_config
from penstock.router.commands.serve import _GRACE_S, ServeCommand
from penstock.router.server import Sidecar

from .router.serving import call, serving, write_models

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "docs" / "deploy"
PORT, USER, STATE, MODELS = 8080, 10001, "/var/lib/penstock", "/etc/penstock/models.yaml"
KUBERNETES = ("kubernetes-service.yaml", "kubernetes-sidecar.yaml")


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Returns the instructions of the Dockerfile, their lines joined."""
    lines = [line for line in text_of("Dockerfile").splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(head, rest.strip()) for head, _, rest in (line.partition(" ") for line in joined)]


def instruction(name: str) -> str:
    """Returns the last instruction of a kind, which is the one that holds."""
    return [rest for head, rest in instructions() if head == name][-1]


def manifests(name: str, kind: str) -> list[Any]:
    return [one for one in yaml.safe_load_all(text_of(name)) if one["kind"] == kind]


def pod_of(name: str) -> Any:
    (deployment,) = manifests(name, "Deployment")
    return deployment["spec"]["template"]["spec"]


def container_of(name: str) -> Any:
    """Returns the container of a manifest in which Penstock runs."""
    pod = pod_of(name)
    (found,) = [one for one in (*pod.get("initContainers", ()), *pod["containers"]) if one["name"] == "penstock"]
    return found


def health_command() -> list[str]:
    words: list[str] = yaml.safe_load(instruction("HEALTHCHECK").partition("CMD ")[2])
    return words


def unit() -> dict[str, str]:
    pairs = (line.partition("=") for line in text_of("penstock.service").splitlines() if line[:1] not in "#[")
    return {name: value for name, _, value in pairs if name}


def serve_words() -> dict[str, list[str]]:
    """Returns what follows `penstock` wherever it is started."""
    return {
        "Dockerfile": yaml.safe_load(instruction("CMD")),
        "penstock.service": shlex.split(unit()["ExecStart"])[1:],
        **{name: container_of(name)["args"] for name in KUBERNETES},
    }


@pytest.mark.parametrize("name", ["Dockerfile", "penstock.service", *KUBERNETES])
def test_it_is_started_with_options_that_exist_on_the_port_that_others_know(name: str) -> None:
    command, *words = serve_words()[name]
    parser = argparse.ArgumentParser()
    ServeCommand().add_arguments(parser)
    options = parser.parse_args(words)
    assert (command, options.port, str(options.models)) == ("serve", PORT, MODELS)


def test_ports_are_the_same_everywhere() -> None:
    assert instruction("EXPOSE") == str(PORT)
    compose = yaml.safe_load(text_of("compose.yaml"))["services"]["penstock"]
    assert compose["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    (service,) = manifests("kubernetes-service.yaml", "Service")
    (named,) = container_of("kubernetes-service.yaml")["ports"]
    assert named["containerPort"] == PORT
    assert service["spec"]["ports"][0]["targetPort"] == named["name"]
    (app,) = pod_of("kubernetes-sidecar.yaml")["containers"]
    assert {"name": "OPENAI_BASE_URL", "value": f"http://127.0.0.1:{PORT}/v1"} in app["env"]


def configurations(folder: Path) -> Iterator[tuple[str, Config]]:
    """Yields every models.yaml in docs/deploy, read as the sidecar would."""
    texts = {"ollama.yaml": text_of("ollama.yaml")}
    texts |= {name: manifests(name, "ConfigMap")[0]["data"]["models.yaml"] for name in KUBERNETES}
    for name, text in texts.items():
        yield name, read_config(write_models(folder, text))


def test_every_models_yaml_is_right_and_asks_for_keys_where_others_can_reach_it(tmp_path: Path) -> None:
    found = dict(configurations(tmp_path))
    for name in ("ollama.yaml", "kubernetes-service.yaml"):
        config = found[name]
        assert config.keys is not None
        assert config.traces.folder is not None
        assert config.keys.is_relative_to(STATE)
        assert config.traces.folder.is_relative_to(STATE)
    config = found["kubernetes-sidecar.yaml"]
    assert (config.keys, config.traces.folder) == (None, None)
    assert "127.0.0.1" in serve_words()["kubernetes-sidecar.yaml"]


def test_the_keys_of_providers_come_from_a_secret_that_the_manifest_tells_how_to_make(tmp_path: Path) -> None:
    for name, config in configurations(tmp_path):
        wanted = {spec.api_key_env for spec in config.backends.values()} - {None}
        if name in KUBERNETES:
            (secret,) = container_of(name)["envFrom"]
            assert f"create secret generic {secret['secretRef']['name']}" in text_of(name)
            assert wanted == set(re.findall(r"--from-literal (\w+)=", text_of(name)))
        else:
            assert wanted == set()


@pytest.mark.parametrize("name", KUBERNETES)
def test_a_pod_mounts_what_it_has_and_may_do_nothing(name: str) -> None:
    pod, container = pod_of(name), container_of(name)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod["volumes"]}
    assert mounts[str(Path(MODELS).parent)]["readOnly"] is True
    held = pod.get("securityContext", {}) | container["securityContext"]
    assert held["runAsNonRoot"] is True
    assert (held["runAsUser"], held["runAsGroup"]) == (USER, USER)
    assert held["readOnlyRootFilesystem"] is True
    assert held["allowPrivilegeEscalation"] is False
    assert held["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", KUBERNETES)
def test_manifests_are_what_kubernetes_knows(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in yaml.safe_load_all(text_of(name)):
        validate.validate(manifest, "1.31", strict=True)


def test_probes_ask_what_the_sidecar_answers_without_a_key(tmp_path: Path) -> None:
    models = write_models(tmp_path, "keys: {file: keys.db}\nbackends: {a: {type: fake}}\n")
    sidecar = Sidecar(Router.from_config(models))
    sidecar.is_ready = True
    container = container_of("kubernetes-service.yaml")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert call(sidecar, container[probe]["httpGet"]["path"]).status == 200


def test_everybody_waits_longer_than_requests_under_way_may_take() -> None:
    compose = yaml.safe_load(text_of("compose.yaml"))["services"]["penstock"]
    assert int(compose["stop_grace_period"].removesuffix("s")) > _GRACE_S
    assert int(unit()["TimeoutStopSec"]) > _GRACE_S
    for name in KUBERNETES:
        assert pod_of(name)["terminationGracePeriodSeconds"] > _GRACE_S


def test_the_image_runs_as_a_user_of_its_own_and_holds_no_secret() -> None:
    assert instruction("USER") == f"{USER}:{USER}"
    assert f"useradd --uid {USER}" in text_of("Dockerfile")
    assert instruction("VOLUME") == instruction("WORKDIR") == STATE
    given = " ".join(rest for head, rest in instructions() if head in ("ARG", "ENV"))
    assert not re.search(r"key|secret|token|password", given, re.IGNORECASE)
    last = [rest for head, rest in instructions() if head == "FROM"][-1]
    assert last == "python:${PYTHON}-slim"  # which has no compiler


def test_the_builder_sees_what_is_copied_and_nothing_else() -> None:
    copied = [rest.split()[:-1] for head, rest in instructions() if head == "COPY" and "--from" not in rest]
    lines = [line for line in text_of("Dockerfile.dockerignore").splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {source for sources in copied for source in sources}


def test_what_is_copied_makes_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    for head, rest in instructions():
        if head == "COPY" and "--from" not in rest:
            *sources, target = rest.split()
            for source in sources:
                into = tmp_path / target / source if target.endswith("/") else tmp_path / target
                into.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, into)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert len(list((tmp_path / "dist").glob("*.whl"))) == 1


def test_the_health_command_tells_whether_it_takes_requests(tmp_path: Path) -> None:
    sidecar = Sidecar(Router.from_config(write_models(tmp_path, "backends: {a: {type: fake}}\n")))
    with serving(sidecar) as url:
        port = url.rpartition(":")[2]
        command = [word.replace(str(PORT), port) for word in health_command()]
        command[0] = sys.executable

        def status() -> int:
            return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode

        assert status() == 0
        sidecar.is_stopping = True
        assert status() == 1
    assert status() == 1  # nobody listens


def test_the_health_command_is_one() -> None:
    probe = container_of("kubernetes-sidecar.yaml")["startupProbe"]
    assert probe["exec"]["command"] == health_command()


def test_compose_has_a_volume_for_every_mount_and_the_image_of_the_dockerfile() -> None:
    compose = yaml.safe_load(text_of("compose.yaml"))
    penstock = compose["services"]["penstock"]
    assert (DEPLOY / penstock["build"]["context"] / penstock["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    models, state = (volume.split(":") for volume in penstock["volumes"])
    assert (DEPLOY / models[0]).is_file()
    assert (models[1:], state[1]) == ([MODELS, "ro"], STATE)
    named = [volume.split(":")[0] for service in compose["services"].values() for volume in service["volumes"]]
    assert {name for name in named if not name.startswith(".")} == set(compose["volumes"])


def test_compose_asks_ollama_where_it_listens() -> None:
    compose, models = yaml.safe_load(text_of("compose.yaml")), yaml.safe_load(text_of("ollama.yaml"))
    for backend in models["backends"].values():
        host = re.fullmatch(r"http://([a-z]+):11434/v1", backend["base_url"])
        assert host is not None
        assert host[1] in compose["services"]


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    path = tmp_path / "penstock.service"
    path.write_text(text_of("penstock.service").replace("/opt/penstock/bin/penstock", sys.executable))
    told = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert [line for line in told.stderr.splitlines() if line.startswith(path.name) or str(path) in line] == []
    held = unit()
    assert held["DynamicUser"] == held["NoNewPrivileges"] == "yes"
    assert held["WorkingDirectory"] == f"/var/lib/{held['StateDirectory']}"
