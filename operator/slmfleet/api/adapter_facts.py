"""`status.source` of a LoRAAdapter: what its files say it is."""

from typing import Annotated, Any, Final

from pydantic import Field

from .base import ApiModel

MAX_TARGETS: Final = 64
Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]


class AdapterFacts(ApiModel):
    """Read from the adapter's configuration and the header of its weights; see guard/adapter_files.py."""

    key: str = Field(max_length=128, description="The source, and what it was read by.")
    digest: Digest = Field(description="sha256 of its files.")
    path: str = Field(max_length=1024, description="Where engines find it.")
    size: int = Field(0, description="Bytes of its files.")
    base: str | None = Field(None, max_length=512, description="The model that it says it was trained on.")
    revision: str | None = Field(None, max_length=256, description="The revision of that model that it says.")
    rank: int | None = Field(None, description="Its largest rank.")
    targets: list[str] | None = Field(
        None, max_length=MAX_TARGETS, description="Modules of the model that it changes, by its weights."
    )
    bias: str | None = Field(None, max_length=64, description="Which biases it has.")
    dora: bool = Field(False, description="Whether it decomposes weights (DoRA).")
    moe: bool = Field(False, description="Whether it changes the experts of a mixture.")
    modules_to_save: list[str] | None = Field(
        None, max_length=MAX_TARGETS, description="Modules that it replaces as a whole."
    )
    features: list[str] | None = Field(
        None,
        max_length=MAX_TARGETS,
        description="Features of PEFT that it uses and that change its matrices.",
    )
    peft_type: str | None = Field(None, max_length=64, description="Its kind in PEFT's words.")

    @classmethod
    def read(cls, told: Any, key: str, path: str) -> "AdapterFacts":  # noqa: ANN401 - JSON of the fetcher or the guard
        """What the fetcher or the guard tells. Raises ValueError where that is not what they tell."""
        said: dict[str, Any] = told if isinstance(told, dict) else {}
        digest = str(said.get("digest"))
        ranks = [said.get("rank"), *(said.get("ranks") or ())]
        known = {
            "key": key,
            "path": path.replace("{hex}", digest.removeprefix("sha256:")),
            "digest": digest,
            "size": said.get("bytes", 0),
            "base": said.get("base"),
            "revision": said.get("revision"),
            "rank": max((rank for rank in ranks if isinstance(rank, int)), default=None),
            "targets": (said.get("targets") or [])[:MAX_TARGETS] or None,
            "bias": said.get("bias"),
            "dora": bool(said.get("dora")),
            "moe": bool(said.get("moe")),
            "modulesToSave": (said.get("modulesToSave") or [])[:MAX_TARGETS] or None,
            "features": (said.get("features") or [])[:MAX_TARGETS] or None,
            "peftType": said.get("peftType"),
        }
        return cls.model_validate({name: value for name, value in known.items() if value is not None})
