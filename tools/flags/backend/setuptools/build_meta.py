"""The two hooks that pip calls before it keeps a downloaded source distribution."""

import re
from pathlib import Path


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:  # noqa: ARG001 - the hook's signature
    """Nothing: nothing is built."""
    return []


def prepare_metadata_for_build_wheel(
    metadata_directory: str,
    config_settings: object = None,  # noqa: ARG001
) -> str:
    """The metadata that the archive brings along."""
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    name, version = (re.findall(rf"^{key}: (\S+)", text, re.MULTILINE)[0] for key in ("Name", "Version"))
    folder = Path(metadata_directory) / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(text, encoding="utf-8")
    return folder.name
