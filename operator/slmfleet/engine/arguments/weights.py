"""Which weights are loaded, from where, and in which form."""

from collections.abc import Iterator

from slmfleet.api.engine_weights import GGUF
from slmfleet.engine import facts
from slmfleet.engine.container import local_claim, model_argument
from slmfleet.engine.releases import Span
from slmfleet.engine.resolution import Argument, Doubt, Item, Problem, Remark, Request, Variable

from .options import ENGINE, option, switch


def weights(r: Request) -> Iterator[Item]:
    """The model, its tokenizer, how they are read, and what the hub needs to hand them out."""
    model, engine = r.spec.model, r.engine
    yield from _model(r)
    if model.revision is not None:
        yield Argument(("--revision", model.revision), "spec.model.revision")
    yield from _tokenizer(r)
    if (quantization := engine.quantization) is not None:
        yield from _quantization(r, quantization)
    if engine.dtype is not None:
        yield from _dtype(r, engine.dtype)
    if (form := engine.load_format) is not None:
        field = f"{ENGINE}.loadFormat"
        yield from _plugged(r, form, field) if _left(r, form) else option(r, "--load-format", form, field=field)
    yield from switch(r, "--trust-remote-code", engine.trust_remote_code, field=f"{ENGINE}.trustRemoteCode")
    yield from _hub(r)


def _model(r: Request) -> Iterator[Item]:
    uri, gguf = r.spec.model.uri, r.engine.gguf
    if gguf is None:
        yield Argument(("--model", model_argument(uri)), "spec.model.uri")
        return
    yield Argument(("--model", _gguf_name(uri, gguf)), f"{ENGINE}.gguf")
    yield from _gguf(r, gguf)


def _gguf_name(uri: str, gguf: GGUF) -> str:
    return f"{model_argument(uri)}:{gguf.quant}" if gguf.quant else f"{model_argument(uri)}/{gguf.file}"


def _gguf(r: Request, gguf: GGUF) -> Iterator[Item]:
    field = f"{ENGINE}.gguf"
    if gguf.quant is not None and r.version < facts.GGUF_FROM_HUB_SINCE:
        reason = f"cannot be had from the hub by vLLM {r.engine.version}: 0.12.0 was the first to load owner/name:quant"
        yield Problem(f"{field}.quant", gguf.quant, reason, "keep the file in a claim and name it with gguf.file")
    if r.platform == "cpu":
        yield _gpu_only(field, "gguf")
    elif _left(r, "gguf"):
        yield from _without_plugin(r, "gguf", field)


def _tokenizer(r: Request) -> Iterator[Item]:
    tokenizer, field = r.engine.tokenizer, f"{ENGINE}.tokenizer"
    if tokenizer is None:
        return
    yield Argument(("--tokenizer", model_argument(tokenizer.uri)), f"{field}.uri")
    if tokenizer.revision is not None:
        yield Argument(("--tokenizer-revision", tokenizer.revision), f"{field}.revision")
    yield from local_claim_only(r, tokenizer.uri, f"{field}.uri")


def local_claim_only(r: Request, uri: str, field: str) -> Iterator[Item]:
    """Only the model's claim is mounted."""
    claim = local_claim(uri)
    if claim is not None and claim != local_claim(r.spec.model.uri):
        fix = "put it into the model's claim, or mount the other claim with spec.pod.volumes and use extraArgs"
        yield Problem(field, uri, "lies in a claim that the engine does not mount", fix)


def _left(r: Request, word: str) -> bool:
    """Whether something has left vLLM for a plug-in."""
    plugin = facts.PLUGINS.get(word)
    return plugin is not None and not Span(until=plugin.last_in_vllm).holds(r.version)


def _plugged(r: Request, word: str, field: str, flag: str = "--load-format") -> Iterator[Item]:
    yield Argument((flag, word), field)
    yield from _without_plugin(r, word, field)


def _without_plugin(r: Request, word: str, field: str) -> Iterator[Item]:
    plugin = facts.PLUGINS[word]
    last = ".".join(plugin.last_in_vllm.split(".")[:2])
    if r.engine.image is None:
        reason = f"left vLLM with {last} for {plugin.package}, which upstream's image of {r.engine.version} lacks"
        fix = f"use an AWQ, GPTQ or FP8 checkpoint, an engine.version up to {last}, or an engine.image with the plug-in"
        yield Problem(field, word, reason, fix, removed=True)
    else:
        yield Doubt(field, f"{word} works only where spec.engine.image has {plugin.package}: it left vLLM after {last}")


def _gpu_only(field: str, value: str) -> Problem:
    return Problem(field, value, "has no kernels for CPUs", "use an AWQ, GPTQ or unquantized checkpoint, or a GPU")


def _quantization(r: Request, quantization: str) -> Iterator[Item]:
    field, flag = f"{ENGINE}.quantization", "--quantization"
    if r.platform == "cpu" and quantization in facts.GPU_ONLY_QUANTIZATIONS:
        yield _gpu_only(field, quantization)
        return
    if _left(r, quantization):
        yield from _plugged(r, quantization, field, flag)
        return
    yield from option(r, flag, quantization, field=field)
    if r.platform == "rocm" and quantization not in (known := list(facts.rocm_quantizations(r.version))):
        reason = f"is not among what vLLM {r.engine.version} loads on ROCm"
        yield Problem(field, quantization, reason, f"use one of {', '.join(known)}")
    need = facts.min_capability(quantization, r.version)
    if r.capability is not None and need is not None and r.capability < need:
        name, has = r.spec.accelerator.class_name, r.accelerator.compute_capability
        reason = f"needs compute capability {need[0]}.{need[1]} in vLLM {r.engine.version} ({name} has {has})"
        yield Problem(field, quantization, reason, "use another quantization, or a newer GPU")
    elif quantization == "fp8" and r.capability is not None and r.capability < facts.FP8_CAPABILITY:
        text = f"{r.spec.accelerator.class_name} has no FP8 arithmetic: it saves memory, and computes in 16 bits"
        yield Remark(field, text)


def _dtype(r: Request, dtype: str) -> Iterator[Item]:
    field = f"{ENGINE}.dtype"
    yield from option(r, "--dtype", dtype, field=field)
    if dtype == "bfloat16" and r.capability is not None and r.capability < facts.BFLOAT16_CAPABILITY:
        name, has = r.spec.accelerator.class_name, r.accelerator.compute_capability
        yield Problem(field, dtype, f"needs compute capability 8.0 ({name} has {has})", "use half")


def _hub(r: Request) -> Iterator[Item]:
    model, draft = r.spec.model, r.engine.speculative
    own, drafts = model.secret_ref, draft.secret_ref if draft is not None else None
    if own is not None:
        yield Variable("HF_TOKEN", "spec.model.secretRef", "the hub's token for a gated model", secret=own)
    elif drafts is not None:
        field = f"{ENGINE}.speculative.secretRef"
        yield Variable("HF_TOKEN", field, "the hub's token for a gated draft model", secret=drafts)
    if own is not None and drafts is not None and own != drafts:
        reason = "differs from spec.model.secretRef, and an engine has one token for the hub"
        fix = "use one token that may read both, in both fields or in spec.model.secretRef alone"
        yield Problem(f"{ENGINE}.speculative.secretRef", f"{drafts.name}/{drafts.key}", reason, fix)
    tokenizer = r.engine.tokenizer
    places = [model.uri, tokenizer.uri if tokenizer else None, draft.model if draft else None]
    if not any(place is not None and place.startswith("hf://") for place in places):
        why = "everything is in the pod already: the hub would only delay the start, or fail it"
        yield Variable("HF_HUB_OFFLINE", "spec.model.uri", why, "1")
        yield Variable("TRANSFORMERS_OFFLINE", "spec.model.uri", why, "1")
