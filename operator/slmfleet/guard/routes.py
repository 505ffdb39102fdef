"""Who may call which route of vLLM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Routes by purpose, with `*` for one path segment, as the releases 0.11.0 to 0.33.0 of vLLM register them.
DISCOVERY = {
    "/v1/models": "GET",
    "/health": "GET",
    "/ping": "GET POST",
    "/version": "GET",
    "/load": "GET",
    "/metrics": "GET",
}
GENERATION = {
    "/v1/chat/completions": "POST",
    "/v1/chat/completions/batch": "POST",
    "/v1/completions": "POST",
    "/v1/responses": "POST",
    "/v1/responses/*": "GET",
    "/v1/responses/*/cancel": "POST",
    "/v1/messages": "POST",
    "/v1/messages/count_tokens": "POST",
    "/v1/decisions": "POST",
    "/v1/systemone": "POST",
    "/cohere/v2/chat": "POST",
    "/generative_scoring": "POST",
}
POOLING = {
    "/v1/embeddings": "POST",
    "/v2/embed": "POST",
    "/v1/rerank": "POST",
    "/v2/rerank": "POST",
    "/rerank": "POST",
    "/v1/score": "POST",
    "/score": "POST",
    "/classify": "POST",
    "/pooling": "POST",
}
AUDIO = {
    "/v1/audio/transcriptions": "POST",
    "/v1/audio/translations": "POST",
    "/v1/realtime": "WEBSOCKET",
}
OPEN = {**DISCOVERY, **GENERATION, **POOLING, **AUDIO}
UNKEYED = frozenset({"/generative_scoring", "/rerank", "/score", "/classify", "/pooling"})
"""Inference that vLLM serves without a key even where it has one (its check covers /v1, /v2, /inference, /cohere)."""

# Known and closed: a wildcard of extraRoutes never opens these, only their full name does.
TOKENIZER = frozenset({"/tokenize", "/detokenize", "/tokenizer_info"})
RENDERING = frozenset(
    [f"/v1/{of}/{what}" for of in ("chat/completions", "completions") for what in ("render", "derender")]
    + ["/v1/messages/render", "/v1/responses/render", "/cohere/v2/chat/render"]
)
ADAPTERS = frozenset({"/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/adapters/*"})
HOSTING = frozenset({"/invocations", "/generate", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
_ENGINE = """
    /sleep /wake_up /is_sleeping /pause /resume /is_paused
    /collective_rpc /server_info /get_world_size /start_profile /stop_profile /ready /readyz
    /reset_prefix_cache /reset_mm_cache /reset_encoder_cache /release_kv_cache_memory /kv_event_sources
    /scale_elastic_ep /is_scaling_elastic_ep /fault_tolerance/apply /fault_tolerance/status
    /init_weight_transfer_engine /shutdown_weight_transfer_engine /weight_checker /weight_info
    /start_weight_update /start_draft_weight_update /finish_weight_update /update_weights /update_weight_version
    /abort_requests /inference/v1/abort_requests /inference/v1/generate
"""
ADMINISTRATIVE = TOKENIZER | RENDERING | ADAPTERS | HOSTING | frozenset(_ENGINE.split())

_ALSO = {"GET": ("GET", "HEAD", "OPTIONS"), "WEBSOCKET": ("WEBSOCKET",)}


def methods_of(names: str) -> frozenset[str]:
    """What an entry such as "GET POST" lets through: HEAD and OPTIONS come with the methods that browsers ask for."""
    return frozenset(method for name in names.split() for method in _ALSO.get(name, (name, "OPTIONS")))


def path_of(scope: dict[str, Any]) -> str:
    """The path that the router looks at: decoded by the server, without --root-path, without one closing slash.

    Starlette cuts the root path off where it stands before a slash (get_route_path) and answers a superfluous closing
    slash with a redirect to the route without it.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


class Routes:
    """Who may call what."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        """`extra`: further routes for clients as "METHOD /path", with `*` for one path segment."""
        self._exact: dict[str, frozenset[str]] = {}
        self._patterns: list[tuple[list[str], frozenset[str]]] = []
        for path, methods in OPEN.items():
            self._add(path, methods)
        for route in extra:
            method, path = route.split(" ")
            self._add(path, method)
        self._closed = [name.split("/") for name in ADMINISTRATIVE if "*" in name]

    def _add(self, path: str, methods: str) -> None:
        if "*" in path:
            self._patterns.append((path.split("/"), methods_of(methods)))
        else:
            self._exact[path] = self._exact.get(path, frozenset()) | methods_of(methods)

    def open(self, method: str, path: str) -> bool:
        """Whether clients may call it."""
        methods = self._exact.get(path)
        if methods is not None:
            return method in methods
        if self.administrative(path):
            return False
        parts = path.split("/")
        return any(method in allowed and _matches(pattern, parts) for pattern, allowed in self._patterns)

    def administrative(self, path: str) -> bool:
        """Whether vLLM is known to administer something there."""
        parts = path.split("/")
        return path in ADMINISTRATIVE or any(_matches(pattern, parts) for pattern in self._closed)


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        want == part or (want == "*" and part != "")
        for want, part in zip(pattern, parts)  # noqa: B905 - 3.9
    )
