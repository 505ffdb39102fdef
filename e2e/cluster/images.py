"""Images without a registry or a build engine: one deterministic layer, imported into containerd.

The containers see this machine's system directories and Python (see `configs.shared_paths`), so an image holds only
what is its own.
"""

import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import configs, environments, gotools, host
from .console import ClusterError, Console
from .layers import NONROOT, add, cached, layer
from .settings import REPOSITORY, Settings
from .shell import run

LIBRARY = "/opt/slmfleet/lib"
DEPENDENCIES = "/opt/slmfleet/deps"


@dataclass(frozen=True)
class Image:
    """An archive on disk and the name under which the cluster knows it."""

    ref: str
    tar: Path


def build(
    name: str,
    tag: str | None = None,
    *,
    files: Mapping[str, Path | bytes],
    entrypoint: Sequence[str],
    env: Mapping[str, str] | None = None,
    user: str = NONROOT,
    workdir: str = "/",
    lower: Sequence[bytes] = (),
    settings: Settings | None = None,
) -> Image:
    """Write an image archive; without a tag it is named after its content, so that the same content has the same name.

    `files` maps a path in the image to bytes or to a file or folder of this machine; `lower` are layers below them.
    """
    settings = settings or Settings()
    contents = [*lower, layer(files, configs.shared_paths(settings))]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": list(entrypoint),
            "Env": [f"{key}={value}" for key, value in (env or {}).items()],
            "User": user,
            "WorkingDir": workdir,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "slmfleet"}] * len(contents),
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    ref = f"{settings.registry}/{name}:{tag or hashlib.sha256(encoded).hexdigest()[:12]}"
    manifest = [{"Config": "config.json", "RepoTags": [ref], "Layers": [f"{digest}.tar" for digest in digests]}]
    tar = settings.images / f"{name}-{ref.rpartition(':')[2]}.tar"
    tar.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tar.with_suffix(f".{os.getpid()}.part")
    with tarfile.open(unfinished, "w") as archive:
        add(archive, "config.json", encoded)
        for digest, content in zip(digests, contents, strict=True):
            add(archive, f"{digest}.tar", content)
        add(archive, "manifest.json", json.dumps(manifest).encode())
    unfinished.rename(tar)
    return Image(ref, tar)


def load(image: Image, settings: Settings | None = None) -> str:
    """Import an image unless the cluster has it; returns its name for a pod spec."""
    settings = settings or Settings()
    if not run([*_ctr(settings), "images", "list", "-q", f"name=={image.ref}"]).strip():
        import_archive(image.tar, settings)
    return image.ref


def import_archive(tar: Path, settings: Settings | None = None) -> None:
    """Import any image archive (OCI or docker format)."""
    if not tar.exists():
        raise ClusterError(f"{tar}: no such file")
    run([*_ctr(settings or Settings()), "images", "import", tar])


def pause_image(settings: Settings) -> Image:
    """The image of every pod's first process."""
    (tool,) = (tool for tool in gotools.tools() if tool.name == "pause")
    files = {"/pause": tool.binary(settings)}
    return build("pause", files=files, entrypoint=["/pause"], user="65535", settings=settings)


def operator_image(
    source: Path = REPOSITORY, site_packages: Path | None = None, settings: Settings | None = None
) -> str:
    """The operator from a source tree, loaded; `site_packages`: its dependencies, by default the locked ones."""
    settings = settings or Settings()
    locked = source / "requirements" / "runtime.txt"
    dependencies = site_packages or environments.site_packages(locked, DEPENDENCIES, settings, Console())
    image = build(
        "operator",
        files={f"{LIBRARY}/slmfleet": source / "operator" / "slmfleet"},
        lower=[cached(dependencies, DEPENDENCIES, configs.shared_paths(settings))],
        env=_python_env() | {"PYTHONPATH": f"{LIBRARY}:{DEPENDENCIES}"},
        entrypoint=["python3", "-m", "slmfleet.runtime"],
        settings=settings,
    )
    return _moved_into_cluster(image, settings)


def simulator_image(source: Path = REPOSITORY, settings: Settings | None = None) -> str:
    """The engine's look-alike, loaded; it answers to the command line that starts vLLM."""
    settings = settings or Settings()
    locked = source / "requirements" / "simulator.txt"
    package = source / "operator" / "slmfleet"
    image = build(
        "simulator",
        files={
            f"{LIBRARY}/slmfleet/__init__.py": package / "__init__.py",
            f"{LIBRARY}/slmfleet/simulator": package / "simulator",
            f"{LIBRARY}/slmfleet/engine": package / "engine",
            f"{LIBRARY}/vllm": source / "images" / "simulator" / "shim" / "vllm",
            DEPENDENCIES: environments.site_packages(locked, DEPENDENCIES, settings, Console()),
        },
        env=_python_env() | {"PYTHONPATH": f"{LIBRARY}:{DEPENDENCIES}"},
        entrypoint=["python3", "-m", "vllm.entrypoints.openai.api_server"],
        settings=settings,
    )
    return _moved_into_cluster(image, settings)


def fetcher_image(source: Path = REPOSITORY, settings: Settings | None = None) -> str:
    """What the operator's fetch Jobs run, loaded."""
    settings = settings or Settings()
    locked = source / "requirements" / "fetcher.txt"
    package = source / "operator" / "slmfleet"
    dependencies = environments.site_packages(locked, DEPENDENCIES, settings, Console())
    image = build(
        "fetcher",
        files={
            f"{LIBRARY}/slmfleet/__init__.py": package / "__init__.py",
            f"{LIBRARY}/slmfleet/guard": package / "guard",
            f"{LIBRARY}/slmfleet/fetcher": package / "fetcher",
        },
        lower=[cached(dependencies, DEPENDENCIES, configs.shared_paths(settings))],
        env=_python_env() | {"PYTHONPATH": f"{LIBRARY}:{DEPENDENCIES}"},
        entrypoint=["python3", "-m", "slmfleet.fetcher"],
        settings=settings,
    )
    return _moved_into_cluster(image, settings)


def engine_image(
    source: Path = REPOSITORY, more: Mapping[str, Path] | None = None, settings: Settings | None = None
) -> str:
    """The real vLLM for CPUs with a tiny model in /models/tiny, and `more` as in build(), loaded.

    Its environment stays on this machine.
    """
    settings = settings or Settings()
    venv = environments.engine(source / "requirements" / "engine-cpu.txt", settings, Console())
    image = build(
        "engine-cpu",
        files={"/models/tiny": environments.tiny_model(venv, settings, Console()), **(more or {})},
        env={
            "PATH": f"{venv}/bin:{host.SYSTEM_PATH}",
            "HOME": "/tmp",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        entrypoint=["python3", "-m", "vllm.entrypoints.openai.api_server"],
        settings=settings,
    )
    return _moved_into_cluster(image, settings)


def _moved_into_cluster(image: Image, settings: Settings) -> str:
    """Load it and drop the archive: every change of the source makes another one."""
    ref = load(image, settings)
    image.tar.unlink(missing_ok=True)
    return ref


def _python_env() -> dict[str, str]:
    return {
        "PATH": f"{sys.base_prefix}/bin:{host.SYSTEM_PATH}",
        "HOME": "/tmp",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _ctr(settings: Settings) -> list[str]:
    if not settings.containerd_socket.exists():
        raise ClusterError("the cluster is not running: python -m e2e.cluster up")
    return [host.program("ctr"), "--address", str(settings.containerd_socket), "--namespace", "k8s.io"]
