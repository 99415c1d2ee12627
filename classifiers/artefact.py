"""The trained router on disk: `manifest.json` and `weights.safetensors` in one folder. No pickle, no clock."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from .confidence import ConfidenceModel
from .errors import ArtefactError
from .escalation import Escalation
from .model import QueryModel
from .persist import Arrays, dump, load

SCHEMA = 1
_MANIFEST = "manifest.json"
_WEIGHTS = "weights.safetensors"
_PACKAGES = ("penstock", "numpy", "tokenizers", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Everything that was learned: estimates before a call, confidence after it, and what follows from both."""

    model: QueryModel
    confidence: ConfidenceModel | None
    escalation: Escalation


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artefact says of itself."""

    backends: tuple[str, ...]
    encoder: str
    encoder_id: str
    classifier: str
    training_data_sha256: str
    seed: int
    metrics: Mapping[str, Any]
    package_versions: Mapping[str, str]


def save_artefact(
    trained: Trained, folder: Path, *, training_data_sha256: str, seed: int, metrics: Mapping[str, Any]
) -> None:
    """Writes the artefact beside its place and moves it there whole; an older artefact is replaced.

    Raises:
        ArtefactError: the folder holds something that is not an artefact, or cannot be written.
    """
    from safetensors.numpy import save

    if folder.exists() and not (folder / _MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtefactError(f"{folder}: exists and is not an artefact; choose an empty or a new folder")
    arrays: Arrays = {}
    outline = dump(trained, "router", arrays)
    weights = save({name: array.copy(order="C") for name, array in arrays.items()})
    manifest = {
        "schema": SCHEMA,
        "backends": trained.model.backends,
        "encoder": trained.model.encoder,
        "encoder_id": trained.model.encoder_id,
        "classifier": trained.model.classifier,
        "training_data_sha256": training_data_sha256,
        "seed": seed,
        "metrics": metrics,
        "package_versions": {name: _version_of(name) for name in _PACKAGES},
        "files": {_WEIGHTS: hashlib.sha256(weights).hexdigest()},
        "outline": outline,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            (fresh / _WEIGHTS).write_bytes(weights)
            (fresh / _MANIFEST).write_bytes(_seal(manifest))
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            shutil.move(fresh, folder)
    except OSError as error:
        raise ArtefactError(f"{folder}: cannot be written: {error.strerror or error}") from error


def load_artefact(folder: Path) -> tuple[Trained, Manifest]:
    """Returns the trained router and its manifest.

    Raises:
        ArtefactError: a file is missing, was changed, or was written by a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays

    manifest = read_manifest(folder)
    weights = _read(folder / _WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != manifest["files"].get(_WEIGHTS):
        raise ArtefactError(f"{folder / _WEIGHTS}: does not match the hash in {_MANIFEST}; the file was changed or damaged")
    try:
        arrays = load_arrays(weights)
    except SafetensorError as error:
        raise ArtefactError(f"{folder / _WEIGHTS}: not a safetensors file: {error}") from error
    try:
        trained = load(manifest["outline"], arrays)
    except ArtefactError as error:
        raise ArtefactError(f"{folder}: {error}") from error
    if not isinstance(trained, Trained):
        raise ArtefactError(f"{folder / _MANIFEST}: outline: expected a trained router")
    described = Manifest(
        backends=tuple(manifest["backends"]),
        encoder=manifest["encoder"],
        encoder_id=manifest["encoder_id"],
        classifier=manifest["classifier"],
        training_data_sha256=manifest["training_data_sha256"],
        seed=manifest["seed"],
        metrics=manifest["metrics"],
        package_versions=manifest["package_versions"],
    )
    return trained, described


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest's JSON, checked against its own seal and schema version.

    Raises:
        ArtefactError: it is missing, was changed, or is of a newer schema.
    """
    path = folder / _MANIFEST
    data = _read(path)
    try:
        manifest = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ArtefactError(f"{path}: not JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int):
        raise ArtefactError(f"{path}: not an artefact's manifest")
    if manifest["schema"] > SCHEMA:
        raise ArtefactError(
            f"{path}: schema {manifest['schema']} is newer than this version reads (up to {SCHEMA}); upgrade penstock"
        )
    manifest.pop("seal", None)
    if _seal(manifest) != data:
        raise ArtefactError(f"{path}: does not match its own seal; the file was changed or damaged")
    return manifest


def _seal(manifest: Mapping[str, Any]) -> bytes:
    """Returns the manifest as bytes, with the hash of everything else in it under `seal`."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    digest = hashlib.sha256(orjson.dumps(manifest, option=options)).hexdigest()
    return orjson.dumps({**manifest, "seal": digest}, option=options) + b"\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file; `penstock train` writes an artefact") from error
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
