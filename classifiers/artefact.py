"""The trained router on disk: `manifest.json` and `weights.safetensors` in one folder. No pickle, no clock.

The weights that the manifest speaks of are set aside until the new manifest is in place: whenever saving is
interrupted, the folder holds either the old artefact or the new one, whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..backends import ConfigError
from .errors import ArtefactError
from .persist import Arrays, dump, load
from .whole_file import whole_file

if TYPE_CHECKING:
    from .certificate import Certificate
    from .confidence import ConfidenceModel
    from .early import EarlyConfidence
    from .escalation import Escalation
    from .model import QueryModel
    from .trade_offs import TradeOffs

SCHEMA = 11  # raise it with every change of what is stored
_MANIFEST = "manifest.json"
_WEIGHTS = "weights.safetensors"
_SET_ASIDE = "weights.safetensors.old"
_OURS = {_WEIGHTS, _SET_ASIDE}
_PARTS = "*.part"  # files that are being written
_PACKAGES = ("penstock", "numpy", "tokenizers", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Everything that was learned: estimates before a call, confidence after it, and what follows from both."""

    model: QueryModel
    confidence: ConfidenceModel | None
    escalation: Escalation
    certificates: tuple[Certificate, ...] = ()  # one for each margin and risk
    early: EarlyConfidence | None = None  # of answers that have only begun
    trade_offs: TradeOffs | None = None  # None: nothing is known of these backends together


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
    """Writes the artefact; an older one is replaced, other files beside it are left alone.

    Raises:
        ArtefactError: the folder holds something that is not an artefact, or cannot be written.
    """
    from safetensors.numpy import save

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
        sealed = _seal(manifest)
    except TypeError as error:
        raise ArtefactError(f"{folder / _MANIFEST}: cannot be written as JSON: {error}") from error
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            for part in folder.glob(_PARTS):  # of a saving that was killed
                part.unlink()
            if _is_whole(folder):
                (folder / _WEIGHTS).replace(folder / _SET_ASIDE)
            _write(folder / _WEIGHTS, weights)
            _write(folder / _MANIFEST, sealed)
            (folder / _SET_ASIDE).unlink(missing_ok=True)
    except OSError as error:
        raise ArtefactError(f"{folder}: cannot be written: {error.strerror or error}") from error


def check_folder(folder: Path) -> None:
    """Refuses a folder that no artefact can be saved in; best called before the work of making one.

    Raises:
        ArtefactError: the folder holds something that is not an artefact, or cannot be written.
    """
    try:
        if not _may_take(folder):
            raise ArtefactError(f"{folder}: exists and is not an artefact; choose an empty or a new folder")
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise ArtefactError(f"{folder}: cannot be written: {error.strerror or error}") from error
    if not nearest.is_dir():
        raise ArtefactError(f"{folder}: cannot be written: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK):
        raise ArtefactError(f"{folder}: cannot be written: {nearest} is read-only to this user")


def load_artefact(folder: Path) -> tuple[Trained, Manifest]:
    """Returns the trained router and its manifest.

    Raises:
        ArtefactError: a file is missing, was changed, or was written by a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays

    manifest = read_manifest(folder)
    try:
        digest = manifest["files"][_WEIGHTS]
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
        outline = manifest["outline"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{folder / _MANIFEST}: not an artefact's manifest: {error}") from error
    weights = _weights_with(digest, folder)
    try:
        trained = load(outline, load_arrays(weights))
    except SafetensorError as error:
        raise ArtefactError(f"{folder / _WEIGHTS}: not a safetensors file: {error}") from error
    except (ArtefactError, ConfigError) as error:
        raise ArtefactError(f"{folder}: {error}") from error
    if not isinstance(trained, Trained):
        raise ArtefactError(f"{folder / _MANIFEST}: outline: expected a trained router")
    return trained, described


def files_of(folder: Path) -> list[Path]:
    """Returns where the files of an artefact are."""
    return [folder / name for name in (_MANIFEST, *sorted(_OURS))]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest's JSON, checked against its own seal and schema version.

    Raises:
        ArtefactError: it is missing, was changed, or is of another schema.
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
            f"{path}: schema {manifest['schema']} is newer than this version reads ({SCHEMA}); upgrade penstock"
        )
    if manifest["schema"] < SCHEMA:
        raise ArtefactError(
            f"{path}: schema {manifest['schema']} is older than this version reads ({SCHEMA}); train again"
        )
    manifest.pop("seal", None)
    try:
        is_sealed = _seal(manifest) == data
    except TypeError:  # nested deeper than can be written
        is_sealed = False
    if not is_sealed:
        raise ArtefactError(f"{path}: does not match its own seal; the file was changed or damaged")
    return manifest


def _weights_with(digest: str, folder: Path) -> bytes:
    """Returns the weights that the manifest speaks of, the set-aside ones where saving was interrupted."""
    set_aside = folder / _SET_ASIDE
    for path in (set_aside, folder / _WEIGHTS):
        if path != set_aside or path.is_file():
            weights = _read(path)
            if hashlib.sha256(weights).hexdigest() == digest:
                return weights
    raise ArtefactError(f"{folder / _WEIGHTS}: does not match the hash in {_MANIFEST}; the file was changed or damaged")


def _seal(manifest: Mapping[str, Any]) -> bytes:
    """Returns the manifest as bytes, with the hash of everything else in it under `seal`."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    digest = hashlib.sha256(orjson.dumps(manifest, option=options)).hexdigest()
    return orjson.dumps({**manifest, "seal": digest}, option=options) + b"\n"


def _may_take(folder: Path) -> bool:
    """Returns whether the folder is new, empty, an artefact, whole or damaged, or the beginning of one."""
    if not folder.exists():
        return True
    if (folder / _MANIFEST).is_file():
        return b'"training_data_sha256"' in (folder / _MANIFEST).read_bytes()
    return folder.is_dir() and all(path.name in _OURS or path.match(_PARTS) for path in folder.iterdir())


def _is_whole(folder: Path) -> bool:
    """Returns whether manifest and weights belong together, which they do unless saving was interrupted."""
    try:
        digest = read_manifest(folder)["files"][_WEIGHTS]
        return bool(hashlib.sha256(_read(folder / _WEIGHTS)).hexdigest() == digest)
    except (ArtefactError, KeyError, TypeError):
        return False


def _write(path: Path, data: bytes) -> None:
    """Puts a file in its place whole."""
    with whole_file(path, failure=ArtefactError) as scratch, scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process saves here, where the system can tell: weights and manifest belong together."""
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file; `penstock train` writes an artefact") from error
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error


def _version_of(package: str) -> str:
    from importlib import metadata  # only for those who save

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
