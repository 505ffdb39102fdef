"""A LoRA adapter as files: what it says of itself, read without loading it, and the digest that names its content.

Whoever made the files may have meant harm: nothing is executed or unpickled, no link leads out of the root, and
everything that is read is bounded.

Formats: adapter_config.json and the names of tensors are PEFT's (peft/config.py, peft/utils/save_and_load.py), the
header is that of safetensors (https://huggingface.co/docs/safetensors#format).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .adapter_tensors import Facts, InvalidAdapterError, facts_of_tensors, tensors_of

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MAX_CONFIG = 64 * 2**10
"""Bytes."""
MAX_HEADER = 8 * 2**20
"""Bytes; an adapter of every matrix of a mixture of 128 experts in 94 layers has about 6 MB."""
MAX_FACTS = 4096 - len(', "digest": "sha256:"') - 64
"""Bytes of the facts as JSON: a container's termination message has 4096, and the digest comes to them."""
MAX_FILES = 1000
MAX_TEXT = 256
"""Characters of a name in the configuration."""
PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
"""Suffixes of files that run code when they are loaded; vLLM reads some of these names beside the weights."""
FEATURES = (
    *("rank_pattern", "alpha_pattern", "lora_bias", "alora_invocation_tokens", "layer_replication"),
    *("use_bdlora", "use_qalora"),
)
"""What a release of vLLM either refuses or, worse, leaves out (vllm/lora/peft_helper.py)."""
PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Values of init_lora_weights that leave the base model as it is; PiSSA and the like do not."""

_CHUNK = 2**20


class _File(NamedTuple):
    name: str
    """Relative to the adapter's folder."""
    path: str
    """Free of links."""
    size: int


def inspect(folder: Path, root: Path | None = None) -> Facts:
    """What the adapter in `folder` is: its base, ranks, targets and shapes.

    Links are followed as long as they stay within `root` (the folder itself where none is given). Raises
    InvalidAdapterError.
    """
    files = _files(folder, folder if root is None else root)
    for name in files:
        if Path(name).suffix.lower() in PICKLES:
            advice = f"convert the weights to {WEIGHTS} and remove it"
            raise InvalidAdapterError("PickleRefused", f"{name} is a pickle, which runs code when it is read: {advice}")
    for name in (CONFIG, WEIGHTS):
        if name not in files:
            raise InvalidAdapterError("NotFound", f"there is no {name} in the folder")
    config = _config(files[CONFIG])
    header, size = _header(files[WEIGHTS])
    facts = {"bytes": sum(file.size for file in files.values()), **_facts_of_config(config)}
    facts = facts_of_tensors(facts, tensors_of(header, size))
    if len(json.dumps(facts)) > MAX_FACTS:
        raise InvalidAdapterError(
            "Unsupported", f"its facts have more than {MAX_FACTS} bytes: too many kinds of layers"
        )
    return facts


def digest(folder: Path, root: Path | None = None) -> str:
    r"""`sha256:` and 64 hex digits over the names and contents of all files in `folder`, hidden ones too.

    It is the SHA-256 of what sha256sum prints for them in the order of their names' bytes:

        find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum

    Raises InvalidAdapterError.
    """
    files = _files(folder, folder if root is None else root)
    whole = hashlib.sha256()
    for name in sorted(files, key=os.fsencode):
        one = hashlib.sha256()
        with _opened(files[name]) as opened:
            while chunk := opened.read(_CHUNK):
                one.update(chunk)
        whole.update(f"{one.hexdigest()}  {name}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def within(path: Path, root: Path) -> bool:
    """Whether `path`, with all links followed, is below `root` or is it. Raises OSError for a loop of links."""
    real, top = os.path.realpath(path), os.path.realpath(root)
    return real == top or real.startswith(top.rstrip("/") + "/")


def _files(folder: Path, root: Path) -> dict[str, _File]:
    """The files by their names relative to the folder."""
    if not folder.is_dir():
        raise InvalidAdapterError("NotFound", "there is no such folder")
    if not within(folder, root):
        raise InvalidAdapterError("UnsafeFile", f"the folder is outside of {root}")
    found: dict[str, _File] = {}
    for path in _walk(folder):
        name = str(path.relative_to(folder))
        try:
            found[name] = _file(path, name, root)
        except OSError as error:
            raise _unreadable(name, error) from error
        if len(found) > MAX_FILES:
            raise InvalidAdapterError("TooLarge", f"the folder has more than {MAX_FILES} files")
    return found


def _file(path: Path, name: str, root: Path) -> _File:
    if not name.isprintable() or "\\" in name:  # bytes that are no UTF-8 are not printable either
        raise InvalidAdapterError("UnsafeFile", f"{name!r} has characters that no file's name should have")
    if not within(path, root):
        raise InvalidAdapterError("UnsafeFile", f"{name} is a link out of {root}")
    real = os.path.realpath(path)
    status = os.lstat(real)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidAdapterError("UnsafeFile", f"{name} is neither a file nor a folder")
    return _File(name, real, status.st_size)


def _walk(folder: Path) -> Iterator[Path]:
    """Everything but folders, below a folder; a link to a folder comes as itself."""

    def unreadable(error: OSError) -> None:
        raise InvalidAdapterError("NotFound", f"{error.filename} cannot be read: {error.strerror}") from error

    for top, folders, files in os.walk(folder, onerror=unreadable):
        links = [name for name in folders if os.path.islink(Path(top, name))]  # noqa: PTH114 - names, not paths
        yield from (Path(top, name) for name in (*links, *files))


@contextmanager
def _opened(file: _File) -> Iterator[BinaryIO]:
    try:
        # What was a file may be a link by now, or a pipe that blocks.
        number = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as opened:
            yield opened
    except OSError as error:
        raise _unreadable(file.name, error) from error


def _unreadable(name: str, error: OSError) -> InvalidAdapterError:
    # Hub libraries write files that only their own user may read.
    return InvalidAdapterError("NotFound", f"{name} cannot be read: {error.strerror}")


def _config(file: _File) -> dict[str, Any]:
    with _opened(file) as opened:
        text = opened.read(MAX_CONFIG + 1)
    if len(text) > MAX_CONFIG:
        raise InvalidAdapterError("TooLarge", f"{CONFIG} has more than {MAX_CONFIG} bytes")
    return _object(text, CONFIG)


def _header(file: _File) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the bytes of data behind it."""
    with _opened(file) as opened:
        length = int.from_bytes(opened.read(8), "little")
        if file.size < 8 or length > file.size - 8:
            raise InvalidAdapterError("Malformed", f"{file.name} is no whole safetensors file: its header is cut off")
        if length > MAX_HEADER:
            raise InvalidAdapterError("TooLarge", f"the header of {file.name} has more than {MAX_HEADER} bytes")
        text = opened.read(length)
    return _object(text, f"the header of {file.name}"), file.size - 8 - length


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_pairs, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise InvalidAdapterError("Malformed", f"{what} is no valid JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise InvalidAdapterError("Malformed", f"{what} is no JSON object")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys come once: readers differ in which of two they take."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key comes twice")
    return made


def _integer(digits: str) -> int:
    """Of up to 20 characters: Python's time for longer ones grows with their square."""
    if len(digits) > 20:
        raise ValueError("a number is too long")
    return int(digits)


def _facts_of_config(config: Mapping[str, Any]) -> Facts:
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise InvalidAdapterError("Malformed", f"{CONFIG}: r is {_short(rank)}; it is the rank, an integer from 1 on")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise InvalidAdapterError("Malformed", f"{CONFIG}: lora_alpha is {_short(alpha)}; it is a number")
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list):
        raise InvalidAdapterError("Malformed", f"{CONFIG}: modules_to_save is {_short(saved)}; it is a list of names")
    return {
        "base": _text(config, "base_model_name_or_path"),
        "revision": _text(config, "revision"),
        "rank": rank,
        "alpha": alpha,
        "bias": _text(config, "bias") or "none",
        "dora": config.get("use_dora") is True,
        "rslora": config.get("use_rslora") is True,
        "modulesToSave": [str(name)[:MAX_TEXT] for name in saved],
        "features": _features(config),
        "peftType": _text(config, "peft_type") or "LORA",
        "taskType": _text(config, "task_type"),
    }


def _features(config: Mapping[str, Any]) -> list[str]:
    """What changes the meaning of the matrices, where it is used."""
    used = [name for name in FEATURES if config.get(name)]
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower() not in PLAIN_INITS:
        used.append(f"init_lora_weights={init[:MAX_TEXT]}")
    return used


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidAdapterError("Malformed", f"{CONFIG}: {key} is {_short(value)}; it is a name")
    return value


def _short(value: object) -> str:
    return repr(value)[:100]
