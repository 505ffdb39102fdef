"""The kind LoRAAdapter: one adapter, served beside the model of one SLMDeployment."""

import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from .adapter_facts import AdapterFacts, Digest
from .base import ApiModel, DataKey, Duration, ObjectName, Quantity, cel, rule
from .conditions import Condition
from .places import Revision
from .quantities import MIB, seconds, size

KIND: Final = "LoRAAdapter"
PLURAL: Final = "loraadapters"

SOURCE_FORMS: Final = (
    "^hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
    "^(s3|gs)://[a-z0-9][a-z0-9._-]*(/[A-Za-z0-9._=+-]+)+$",
    "^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._-]+)+$",
    "^image:///opt/adapters(/[A-Za-z0-9._-]+)+$",
)
_FORMS: Final = (
    "use hf://owner/name, s3://bucket/path, gs://bucket/path, pvc://claim/path or image:///opt/adapters/path"
)
FETCHED: Final = ("hf", "s3", "gs")

Replicas = Annotated[
    Literal["All"] | Annotated[int, Field(ge=1, le=1000)], WithJsonSchema({"x-kubernetes-int-or-string": True})
]
Phase = Literal["Pending", "Fetching", "Loading", "Ready", "Updating", "Degraded", "Failed", "Refused"]
PodState = Literal["Waiting", "Loading", "Loaded", "Failed"]


class DeploymentRef(ApiModel):
    """The SLMDeployment whose engines serve the adapter."""

    name: ObjectName = Field(
        description="Name of an SLMDeployment of this namespace.",
        json_schema_extra=cel(
            rule("self == oldSelf", "cannot change: make another LoRAAdapter for the other SLMDeployment")
        ),
    )


class Credentials(ApiModel):
    """The Secret that opens the source; only the Job that fetches gets it."""

    name: ObjectName = Field(description="Name of a Secret of this namespace.")
    keys: dict[DataKey, DataKey] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="Keys of the Secret by what they are for, where they are not named so: HF_TOKEN, HF_ENDPOINT; "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL; "
        "GOOGLE_SERVICE_ACCOUNT_KEY, STORAGE_EMULATOR_HOST (an emulator's address); for each of them CA_CERTIFICATE, "
        "certificates as PEM where no public authority vouches for the endpoint. Others are not read.",
    )


class AdapterSource(ApiModel):
    """Where the adapter's files come from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.revision) || self.uri.startsWith('hf://')",
                "only applies to hf:// sources: remove it",
                holds=lambda s: s.revision is None or s.uri.startswith("hf://"),
                field=".revision",
                forbidden=True,
            ),
            rule(
                "!has(self.secretRef) || self.uri.matches('^(hf|s3|gs)://')",
                "only applies to hf://, s3:// and gs:// sources: remove it",
                holds=lambda s: s.secret_ref is None or s.uri.split(":")[0] in FETCHED,
                field=".secretRef",
                forbidden=True,
            ),
        )
    )

    uri: str = Field(
        max_length=512,
        description="hf://owner/name, s3://bucket/path and gs://bucket/path are fetched into the claim of the "
        "deployment's spec.engine.lora. pvc://claim/adapters/path (that claim), pvc://claim/path (the model's) and "
        "image:///opt/adapters/path (in the engine's image) are read where they are.",
        json_schema_extra=cel(
            rule(
                " || ".join(f"self.matches('{form}')" for form in SOURCE_FORMS),
                f"no place for an adapter: {_FORMS}",
                holds=lambda uri: any(re.match(form, uri) for form in SOURCE_FORMS),
                message_expression=f"'\"' + self + '\" is no place for an adapter: {_FORMS}'",
            ),
            rule(
                "!self.contains('/..')", "must not contain '..': write the path out", holds=lambda uri: "/.." not in uri
            ),
        ),
    )
    revision: Revision | None = Field(None, description="Commit, tag or branch of an hf:// source.")
    digest: Digest | None = Field(
        None,
        description="sha256 of the files, as `slmfleet adapter digest` prints it; others are refused. Absent: what is "
        "there when it is fetched first.",
    )
    secret_ref: Credentials | None = Field(None, description="The Secret that opens the source.")
    max_size: Quantity = Field(
        "4Gi",
        description="Largest size of all files in bytes; a larger source is refused.",
        json_schema_extra=cel(
            rule(
                "quantity(self).compareTo(quantity('1Mi')) >= 0 && quantity(self).compareTo(quantity('1Ti')) <= 0",
                "is in bytes and must lie between 1Mi and 1Ti, such as 4Gi",
                holds=lambda q: MIB <= size(q) <= 1024**4,
            )
        ),
    )


class AdapterPlacement(ApiModel):
    """Which replicas have the adapter."""

    replicas: Replicas = Field(
        "All",
        description="All, or a number of replicas; then clients reach them by the adapter's own Service.",
        json_schema_extra=cel(
            rule(
                "type(self) == int ? self >= 1 && self <= 1000 : self == 'All'",
                "takes All or a number from 1 to 1000",
                holds=lambda r: r == "All" or 1 <= r <= 1000,
            )
        ),
    )


class AdapterRollout(ApiModel):
    """How a new version replaces the old one."""

    soak: Duration = Field(
        "60s",
        description="How long the old version stays loaded after the name has moved to the new one, such as 60s.",
        json_schema_extra=cel(
            rule(
                "duration(self) <= duration('24h')",
                "must be at most 24h",
                holds=lambda d: seconds(d) <= 24 * 3600,
            )
        ),
    )


class AdapterEndpoint(ApiModel):
    """How clients find the replicas that have the adapter."""

    service: bool = Field(
        False, description="Whether the adapter gets a Service of its own that selects only pods that serve it."
    )


class LoRAAdapterSpec(ApiModel):
    """What the adapter is and where it should be."""

    deployment_ref: DeploymentRef = Field(description="The SLMDeployment whose engines serve the adapter.")
    source: AdapterSource = Field(description="Where the adapter's files come from.")
    served_name: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")] | None
    ) = Field(None, description="What clients put into 'model'. Default: the LoRAAdapter's name.")
    base_model: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="What the adapter may say its base model is, where that is not the deployment's hf:// model.",
    )
    placement: AdapterPlacement = Field(AdapterPlacement(), description="Which replicas have the adapter.")
    rollout: AdapterRollout = Field(AdapterRollout(), description="How a new version replaces the old one.")
    endpoint: AdapterEndpoint = Field(
        AdapterEndpoint(), description="How clients find the replicas that have the adapter."
    )


class AdapterVersion(ApiModel):
    """One version of the adapter's files."""

    digest: Digest = Field(description="sha256 of its files.")
    path: str = Field(max_length=1024, description="Where engines find it.")


class AdapterPod(ApiModel):
    """The adapter in one pod."""

    name: str = Field(max_length=253, description="The pod.")
    state: PodState = Field(description="How the wanted version stands there.")
    serving: str = Field("", max_length=12, description="The version that answers to the name there.")
    reason: str | None = Field(None, max_length=64, description="Why it is not loaded, in one word.")
    message: str | None = Field(None, max_length=1024, description="The same in words.")


class LoRAAdapterStatus(ApiModel):
    """What the adapter is and where it is."""

    observed_generation: int = Field(0, description="The metadata.generation that this status was computed from.")
    phase: Phase = Field("Pending", description="The state in one word; the conditions say why.")
    loaded: str = Field("0/0", max_length=16, description="Pods that serve it and pods that should, such as 2/3.")
    rank: int | None = Field(None, description="The adapter's largest rank.")
    version: str = Field("", max_length=12, description="The version that clients get: 12 digits of the digest.")
    source: AdapterFacts | None = Field(None, description="What the files of the wanted version say.")
    active: AdapterVersion | None = Field(None, description="The version that the served name stands for.")
    previous: AdapterVersion | None = Field(None, description="The version before, while it stays loaded.")
    moved_at: str | None = Field(
        None, max_length=32, description="When the name moved to the active version (RFC 3339)."
    )
    pods: list[AdapterPod] | None = Field(None, max_length=1000, description="The chosen pods.")
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Statements about the adapter; Ready sums them up.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []  # noqa: RUF012 - pydantic copies defaults
