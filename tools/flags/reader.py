"""Prints what the vLLM that this interpreter imports takes on its command line, as JSON in the last line of stdout.

Runs inside vLLM's environment: standard library only. The argument says which platform vLLM is to believe in; what a
GPU build has compiled is not needed to build its parser and is replaced by empty modules where it is missing.
"""

import json
import sys
from argparse import SUPPRESS, Action, ArgumentParser, BooleanOptionalAction
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import getclosurevars, isfunction
from types import ModuleType, SimpleNamespace
from typing import Any, Final

Row = dict[str, Any]

PLATFORMS: Final = {
    "cpu": ("vllm.platforms.cpu", "CpuPlatform"),
    "cuda": ("vllm.platforms.cuda", "NonNvmlCudaPlatform"),
    "rocm": ("vllm.platforms.rocm", "RocmPlatform"),
}
"""Those that slmfleet runs on."""
PARSERS: Final = ("vllm.utils.argparse_utils", "vllm.utils")
SERVER_OPTIONS: Final = (
    "vllm.entrypoints.common.cli_args",  # from 0.33
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
TOOL_PARSERS: Final = ("vllm.tool_parsers", "vllm.entrypoints.openai.tool_parsers")
CONVERTERS: Final = {
    "str": "str",
    "bool": "str",  # bool("False") is True: any text will do
    "int": "int",
    "float": "float",
    "loads": "json",
    "_compute_kwargs.<locals>.parse_dataclass": "json-object",
    "union_dict_and_str": "json-or-str",
    "human_readable_int": "human-int",
    "human_readable_int_or_auto": "human-int-or-auto",
    "parse_reasoning_parser": "name-or-none",
}
"""vLLM's names for the types of its options -> the table's."""
RANKS: Final = range(1, 1025)


class _NotCompiled(MetaPathFinder, Loader):
    """Finds vLLM's compiled modules where nothing else does, and has them do nothing."""

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """Only what platforms import."""
        compiled = name.startswith("vllm._") and name.endswith(("_C", "_C_stable_libtorch"))
        return ModuleSpec(name, self) if compiled or name == "amdsmi" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that gives everything that it is asked for."""
        module = ModuleType(spec.name)
        module.__dict__["__getattr__"] = lambda name: SimpleNamespace() if not name.startswith("__") else _missing(name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def _missing(name: str) -> None:
    raise AttributeError(name)


def pretend(platform: str) -> None:
    """Have vLLM take the machine for one of `platform`; to be called before anything of vLLM is imported."""
    sys.meta_path.append(_NotCompiled())
    if platform == "rocm":
        card = SimpleNamespace(gcnArchName="gfx942")
        import_module("torch").cuda.get_device_properties = lambda *_: card
    module, name = PLATFORMS[platform]
    chosen = getattr(import_module(module), name)
    chosen.import_kernels = lambda *_: None
    import_module("vllm.platforms").__dict__["_current_platform"] = chosen()


def server_parser() -> ArgumentParser:
    """The parser of `python -m vllm.entrypoints.openai.api_server`."""
    parser: ArgumentParser = _first_with("make_arg_parser", SERVER_OPTIONS)(
        _first_with("FlexibleArgumentParser", PARSERS)()
    )
    return parser


def _first_with(name: str, modules: Sequence[str]) -> Any:  # noqa: ANN401 - whatever it is
    """The object `name` of the first module that has it."""
    missing: Exception | None = None
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except (ModuleNotFoundError, AttributeError) as error:
            missing = error
    raise missing or LookupError(name)


def options(parser: ArgumentParser) -> list[Row]:
    """All options, hidden spellings included, except --help; in the order in which they were added."""
    actions: dict[int, tuple[Action, list[str]]] = {}
    for spelling, action in parser._option_string_actions.items():  # noqa: SLF001
        actions.setdefault(id(action), (action, []))[1].append(spelling)
    deprecated = {id(action) for action in getattr(parser, "_deprecated", ())}
    return [
        option(action, spellings, deprecated=key in deprecated)
        for key, (action, spellings) in actions.items()
        if type(action).__name__ != "_HelpAction"
    ]


def option(action: Action, spellings: Sequence[str], *, deprecated: bool) -> Row:
    """One option as a row of the table; what is as usual has no key."""
    opposites = _opposites(action, spellings)
    positive = [spelling for spelling in spellings if spelling not in opposites]
    name = next(spelling for spelling in positive if spelling.startswith("--"))
    row: Row = {"flag": name, "aliases": [spelling for spelling in positive if spelling != name]}
    match type(action).__name__:
        case _ if isinstance(action, BooleanOptionalAction):
            inverse = [word for word in opposites if not word.startswith("--no-")]
            row |= {"kind": "bool-pair", "inverse": inverse}
        case "_StoreTrueAction":
            row |= {"kind": "bool"}
        case "_StoreAction" | "_AppendAction" | "LoRAParserAction" | "DeprecatedLogConfigFileAction" as kind:
            row |= {"kind": "value", **_value(action), "repeat": kind == "_AppendAction"}
            if kind == "LoRAParserAction":
                row["type"] = "lora-module"
        case other:
            raise TypeError(f"{name}: no rule for options of the kind {other}")
    row |= _default(action.default) | {"deprecated": deprecated}
    return {key: value for key, value in row.items() if key == "default" or value not in (None, False, [])}


def _opposites(action: Action, spellings: Sequence[str]) -> list[str]:
    """The spellings that turn a switch off."""
    if not isinstance(action, BooleanOptionalAction):
        return []
    known = getattr(action, "negative_option_strings", None)
    return [word for word in spellings if (word.startswith("--no-") if known is None else word in known)]


def _value(action: Action) -> Row:
    convert, optional = _converter(action.type)
    choices = None if action.choices is None else list(action.choices)
    return {"type": convert, "optional": optional, "nargs": action.nargs, "choices": choices}


def _converter(kind: Any) -> tuple[str, bool]:  # noqa: ANN401 - any callable
    """The table's name for an option's type, and whether None is a value; vLLM wraps types in closures."""
    if kind is None:
        return "str", False
    name = kind.__qualname__
    if name.endswith("<lambda>"):
        return ("snake-case" if kind("A-b") == "a_b" else "str"), False
    if name in CONVERTERS:
        return CONVERTERS[name], False
    wrapped = getclosurevars(kind).nonlocals.get("return_type") if isfunction(kind) else None
    if wrapped is None:
        raise TypeError(f"no rule for values of the type {name}")
    inner, optional = _converter(wrapped)
    return inner, optional or name.startswith("optional_type")


def _default(value: object) -> Row:
    """The default where JSON can say it: not the objects that vLLM makes of its configuration classes."""
    value = sorted(value) if isinstance(value, set) else value
    try:
        return {} if value is None or value == SUPPRESS else {"default": json.loads(json.dumps(value))}
    except TypeError:
        return {}


def registered() -> Mapping[str, list[Any]]:
    """Values that the parser lets pass and the configuration checks: option -> names known to vLLM itself."""
    formats = import_module("vllm.model_executor.model_loader")._LOAD_FORMAT_TO_MODEL_LOADER  # noqa: SLF001
    return {
        "--quantization": list(import_module("vllm.model_executor.layers.quantization").QUANTIZATION_METHODS),
        "--load-format": list(formats),
        "--tool-call-parser": _parsers(_first_with("ToolParserManager", TOOL_PARSERS), "tool_parsers"),
        "--reasoning-parser": _parsers(import_module("vllm.reasoning").ReasoningParserManager, "reasoning_parsers"),
        "--max-lora-rank": [rank for rank in RANKS if _takes_rank(rank)],
    }


def _parsers(manager: Any, loaded: str) -> list[str]:  # noqa: ANN401 - one of vLLM's managers
    return sorted({*getattr(manager, loaded), *getattr(manager, "lazy_parsers", ())})


def _takes_rank(rank: int) -> bool:
    try:
        import_module("vllm.config.lora").LoRAConfig(max_lora_rank=rank)
    except ValueError:
        return False
    return True


def main() -> None:
    """One release, as one platform has it; its registries need a device and are the same everywhere: cpu reads them."""
    platform = sys.argv[1]
    pretend(platform)
    read = {"options": options(server_parser()), "values": registered() if platform == "cpu" else {}}
    sys.stdout.write(f"\n{json.dumps(read)}\n")


if __name__ == "__main__":
    main()
