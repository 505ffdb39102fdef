"""The source of each scheme. Libraries are imported only for the one that is asked for."""

from collections.abc import Mapping, MutableMapping

from .source import Location, Source

QUIET = {
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Settings of huggingface_hub, which it reads as it is imported: no calls but ours, no token but the Secret's."""


def open_source(location: Location, values: Mapping[str, str], environ: MutableMapping[str, str]) -> Source:
    """The source at `location`, with the values that `credentials.collect` found. Raises FetchError."""
    if location.scheme == "hf":
        environ.update(QUIET)
        from .hub import HubSource  # noqa: PLC0415

        return HubSource(location, values)
    from . import objects  # noqa: PLC0415

    return objects.s3(location, values, environ) if location.scheme == "s3" else objects.gs(location, values)
