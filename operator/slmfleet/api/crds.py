"""The CustomResourceDefinitions: names, columns and object-level rules around the schemas of the models."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from . import accelerator, loraadapter, slmdeployment
from .base import GROUP, VERSION, Rule, rule
from .schema import RULES, Schema, structural, without_defaults
from .status import SLMDeploymentStatus


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; those with priority 1 only show with `-o wide`."""

    name: str
    path: str
    type: str
    description: str
    priority: int = 0

    def to_manifest(self) -> dict[str, Any]:
        """The column as it stands in a CRD."""
        column = {"name": self.name, "type": self.type, "description": self.description, "jsonPath": self.path}
        return column | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True)
class Definition:
    """All that a CRD says about a kind apart from its fields."""

    kind: str
    plural: str
    short_name: str
    scope: str
    description: str
    spec: type[BaseModel]
    columns: tuple[Column, ...]
    status: type[BaseModel] | None = None
    scale: bool = False
    rules: tuple[Rule, ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of the CRD object."""
        return f"{self.plural}.{GROUP}"

    def schema(self) -> Schema:
        """The structural schema of the whole object."""
        properties: Schema = {
            "apiVersion": {"type": "string", "description": f"The API's version: {GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"The kind: {self.kind}."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(self.spec, "spec"),
        }
        if self.status:
            # No object-level rule reads the status, so only its own rules set bounds there.
            properties["status"] = without_defaults(structural(self.status, "status", under_rules=False))
        return {
            "description": self.description,
            "type": "object",
            "required": ["spec"],
            "properties": properties,
            **({RULES: list(self.rules)} if self.rules else {}),
        }

    def to_manifest(self) -> dict[str, Any]:
        """The CRD object."""
        version: dict[str, Any] = {
            "name": VERSION,
            "served": True,
            "storage": True,
            "additionalPrinterColumns": [column.to_manifest() for column in self.columns],
        }
        subresources: dict[str, Any] = {}
        if self.status:
            subresources["status"] = {}
        if self.scale:
            subresources["scale"] = {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            }
        if subresources:
            version["subresources"] = subresources
        version["schema"] = {"openAPIV3Schema": self.schema()}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name, "labels": {"app.kubernetes.io/part-of": "slmfleet"}},
            "spec": {
                "group": GROUP,
                "scope": self.scope,
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.kind.lower(),
                    "shortNames": [self.short_name],
                    "categories": ["all", "slmfleet"] if self.scope == "Namespaced" else ["slmfleet"],
                },
                "versions": [version],
            },
        }


_AGE = Column("Age", ".metadata.creationTimestamp", "date", "Time since the object was made.")

# Children's names and labels end in up to 11 more characters, and a Service's name stops at 63.
_NAME = rule(
    "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "use at most 52 characters of a-z, 0-9 and '-', begin with a letter and do not end with '-'",
    holds=lambda o: re.fullmatch("[a-z]([-a-z0-9]{0,50}[a-z0-9])?", o["metadata"]["name"]) is not None,
    message_expression="'\"' + self.metadata.name + '\" cannot name the Service of the fleet: use at most 52 "
    "characters of a-z, 0-9 and -, begin with a letter and do not end with -'",
    field=".metadata.name",
)

SLM_DEPLOYMENT: Final = Definition(
    kind=slmdeployment.KIND,
    plural=slmdeployment.PLURAL,
    short_name="slm",
    scope="Namespaced",
    description="One small language model, served by N replicas of vLLM.",
    spec=slmdeployment.SLMDeploymentSpec,
    status=SLMDeploymentStatus,
    scale=True,
    rules=(_NAME,),
    columns=(
        Column("Model", ".spec.model.uri", "string", "Where the weights come from."),
        Column("Ready", ".status.ready", "string", "Ready and desired replicas."),
        Column("Desired", ".status.desiredReplicas", "integer", "Replicas that there should be."),
        Column("GPUs", ".status.gpus", "integer", "GPUs that the desired replicas take."),
        Column("Phase", ".status.phase", "string", "The state in one word; the conditions say why."),
        _AGE,
        Column("URL", ".status.url", "string", "Address of the API inside the cluster.", priority=1),
        Column("Engine", ".spec.engine.version", "string", "Release of vLLM.", priority=1),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Ready")].reason',
            "string",
            "What holds the fleet back, in one word.",
            priority=1,
        ),
    ),
)

ACCELERATOR_CLASS: Final = Definition(
    kind=accelerator.KIND,
    plural=accelerator.PLURAL,
    short_name="accel",
    scope="Cluster",
    description="A GPU model: what it can do, what it costs and where its nodes are. "
    "An object overrides the entry of the same name in the built-in catalogue.",
    spec=accelerator.AcceleratorClassSpec,
    columns=(
        Column("Platform", ".spec.platform", "string", "Which build of vLLM runs on it."),
        Column("Memory", ".spec.memory", "string", "Memory of one GPU; for cpu, of a node."),
        Column("Resource", ".spec.resourceName", "string", "Extended resource that pods request."),
        Column("Cost/h", ".spec.costPerHour", "string", "Price of one GPU in US dollars per hour."),
        _AGE,
    ),
)

LORA_ADAPTER: Final = Definition(
    kind=loraadapter.KIND,
    plural=loraadapter.PLURAL,
    short_name="lora",
    scope="Namespaced",
    description="One LoRA adapter, served beside the model of one SLMDeployment.",
    spec=loraadapter.LoRAAdapterSpec,
    status=loraadapter.LoRAAdapterStatus,
    rules=(_NAME,),
    columns=(
        Column("Deployment", ".spec.deploymentRef.name", "string", "The SLMDeployment that serves it."),
        Column("Loaded", ".status.loaded", "string", "Pods that serve it and pods that should."),
        Column("Rank", ".status.rank", "integer", "Its largest rank."),
        Column("Version", ".status.version", "string", "Digits of the digest of the version that clients get."),
        Column("Phase", ".status.phase", "string", "The state in one word; the conditions say why."),
        _AGE,
        Column("Source", ".spec.source.uri", "string", "Where its files come from.", priority=1),
        Column(
            "Reason",
            '.status.conditions[?(@.type=="Ready")].reason',
            "string",
            "What holds it back, in one word.",
            priority=1,
        ),
    ),
)

DEFINITIONS: Final = (ACCELERATOR_CLASS, LORA_ADAPTER, SLM_DEPLOYMENT)


def manifests() -> list[dict[str, Any]]:
    """Every CustomResourceDefinition of this release, in the order of their names."""
    return [definition.to_manifest() for definition in DEFINITIONS]
