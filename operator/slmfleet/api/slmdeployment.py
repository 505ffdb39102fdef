"""The kind SLMDeployment: one model, served by N replicas of vLLM."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, Duration, ObjectName, Quantity, cel, rule
from .pod import KeyRef, PodOverlay

KIND: Final = "SLMDeployment"
PLURAL: Final = "slmdeployments"

# Flags that a typed field or the operator itself writes: a second value in extraArgs would win silently.
RESERVED_FLAGS: Final[dict[str, str]] = {
    "--model": "spec.model.uri",
    "--revision": "spec.model.revision",
    "--served-model-name": "spec.model.servedNames",
    "--max-model-len": "spec.engine.maxModelLen",
    "--tensor-parallel-size": "spec.parallelism.tensor",
    "-tp": "spec.parallelism.tensor",
    "--api-key": "nothing yet: a key in the arguments would be readable in the pod",
    "--hf-token": "spec.model.secretRef",
    "--host": "nothing: the operator's probes and Service depend on it",
    "--port": "nothing: the operator's probes and Service depend on it",
    "--shutdown-timeout": "spec.drain.timeout",
    "--download-dir": "spec.model.cache",
}
_RESERVED_CEL = "{" + ", ".join(f"'{flag}': '{use}'" for flag, use in RESERVED_FLAGS.items()) + "}"


class ModelCache(ApiModel):
    """Where downloaded weights are kept, so that a restarted or added replica does not download them again."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.claimName) != has(self.size)",
                "spec.model.cache takes claimName (a claim of yours) or size (the operator makes one), exactly one of them",
            ),
            rule(
                "!has(self.claimName) || !(has(self.storageClassName) || has(self.accessMode) || has(self.whenDeleted))",
                "spec.model.cache: storageClassName, accessMode and whenDeleted describe a claim that the operator makes; "
                "remove them or claimName",
            ),
        )
    )

    claim_name: ObjectName | None = Field(None, description="An existing PersistentVolumeClaim of this namespace.")
    size: Quantity | None = Field(None, description="Size in bytes of the claim that the operator makes, such as 50Gi.")
    storage_class_name: ObjectName | None = Field(
        None, description="StorageClass of the claim that the operator makes; absent means the cluster's default."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] | None = Field(
        None,
        description="Access mode of the claim that the operator makes. Default ReadWriteOnce, which keeps all replicas on "
        "one node; ReadWriteMany needs a storage class that offers it.",
    )
    when_deleted: Literal["Retain", "Delete"] | None = Field(
        None,
        description="Whether the claim outlives the SLMDeployment. Default Retain: a deployment of the same name finds it again.",
    )


class ModelSource(ApiModel):
    """The model: where its weights come from and the names it answers to."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.uri.startsWith('hf://') || !has(self.revision)",
                "spec.model.revision only applies to hf:// models: remove it",
            ),
            rule(
                "self.uri.startsWith('hf://') || !has(self.secretRef)",
                "spec.model.secretRef only applies to hf:// models: remove it",
            ),
            rule(
                "self.uri.startsWith('hf://') || !has(self.cache)",
                "spec.model.cache only applies to hf:// models, others are read where they are: remove it",
            ),
        )
    )

    uri: str = Field(
        max_length=512,
        description="Where the weights are: hf://owner/name (Hugging Face hub), pvc://claim/path (a PersistentVolumeClaim of "
        "this namespace, mounted read-only) or image:///path (inside the engine image).",
        json_schema_extra=cel(
            rule(
                r"self.matches('^hf://[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$')"
                r" || self.matches('^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._-]+)*$')"
                r" || self.matches('^image:///[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$')",
                "spec.model.uri must be hf://owner/name, pvc://claim/path or image:///path",
            ),
            rule("!self.contains('/..')", "spec.model.uri must not contain '..': write the path out"),
        ),
    )
    revision: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
        description="Commit, tag or branch of an hf:// model. Pin a commit: a branch can change under running replicas.",
    )
    served_names: (
        list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]] | None
    ) = Field(
        None,
        min_length=1,
        max_length=8,
        description="Names that clients may put into 'model'. Default: the SLMDeployment's name. The first one labels metrics.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    secret_ref: KeyRef | None = Field(
        None, description="Secret key with the hub token of a gated model; it reaches the engine as HF_TOKEN."
    )
    cache: ModelCache | None = Field(
        None,
        description="Where downloaded weights are kept. Absent: each pod downloads into its own ephemeral storage.",
    )


class Engine(ApiModel):
    """The vLLM that serves the model."""

    version: str = Field(
        min_length=5,
        max_length=20,
        pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}((rc|\.post)[0-9]{1,3})?$",
        description="Release of vLLM, such as 0.32.0 (0.11.0 or newer). It decides which flags exist.",
        json_schema_extra=cel(
            rule(
                "int(self.split('.')[0]) > 0 || int(self.split('.')[1]) >= 11",
                "spec.engine.version is older than 0.11.0, the first release with only the V1 engine: use 0.11.0 or newer",
            )
        ),
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\s@:]+(:[0-9]+/[^\s@:]+)?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$",
        description="Container image with that vLLM release. Default: the release's upstream image for the accelerator's platform.",
    )
    max_model_len: int | None = Field(
        None,
        ge=1,
        le=10_485_760,
        description="Longest sequence, prompt plus answer, in tokens. Default: the model's own maximum. Lower values leave more "
        "of the KV cache for concurrent requests.",
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=2048)]] | None = Field(
        None,
        max_length=64,
        description="Further arguments of the vLLM server, one list item per word. Flags that have a field are refused.",
        json_schema_extra=cel(
            rule(
                f"self.all(a, !(a.split('=')[0] in {_RESERVED_CEL}))",
                "spec.engine.extraArgs sets a flag that has a field of its own",
                message_expression="'spec.engine.extraArgs: ' + self.filter(a, a.split('=')[0] in "
                + _RESERVED_CEL
                + ")[0]"
                " + ' is not allowed here, use ' + "
                + _RESERVED_CEL
                + "[self.filter(a, a.split('=')[0] in "
                + _RESERVED_CEL
                + ")[0].split('=')[0]]",
            )
        ),
    )


class Parallelism(ApiModel):
    """How one replica is spread over GPUs."""

    tensor: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs of one node that share every layer of a replica. It must divide the attention heads.",
    )


class AcceleratorRef(ApiModel):
    """The GPU model that the replicas run on."""

    class_name: ObjectName = Field(
        alias="class",
        description="Name of an AcceleratorClass object, else of the built-in catalogue (nvidia-l4, nvidia-h100-sxm, cpu, ...).",
    )


class Rollout(ApiModel):
    """How a changed pod template replaces the running pods."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!(has(self.maxSurge) && has(self.maxUnavailable) && self.maxSurge == 0 && self.maxUnavailable == 0)",
                "spec.rollout: maxSurge and maxUnavailable are both 0, no pod could ever be replaced: raise one",
            )
        )
    )

    max_surge: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Pods above the replicas during a rollout. Default 0 on GPUs (a full cluster has none to spare), 1 on CPUs.",
    )
    max_unavailable: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Pods that may be missing during a rollout. Default 1 where maxSurge is 0, else 0. "
        "One replica without surge is down while its successor loads.",
    )
    on_operator_upgrade: Literal["Keep", "Roll"] = Field(
        "Keep",
        description="Keep: a newer operator goes on with the pod template of the one that rendered it and reports "
        "TemplateOutdated. Roll: it renders again and the pods roll.",
    )


class Drain(ApiModel):
    """How a pod ends."""

    timeout: Duration = Field(
        "300s",
        description="Longest time that running requests get to finish when a pod ends, such as 300s or 10m.",
        json_schema_extra=cel(
            rule(
                "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
                "spec.drain.timeout must lie between 1s and 1h",
            )
        ),
    )


class SLMDeploymentSpec(ApiModel):
    """What the fleet should be."""

    model: ModelSource = Field(description="The model and the names it answers to.")
    engine: Engine = Field(description="The vLLM that serves it.")
    accelerator: AcceleratorRef = Field(description="The GPU model that the replicas run on.")
    parallelism: Parallelism = Field(Parallelism(), description="How one replica is spread over GPUs.")
    replicas: int = Field(
        1,
        ge=0,
        le=1000,
        description="Number of replicas; each takes parallelism.tensor GPUs. kubectl scale and an HPA write it.",
    )
    rollout: Rollout = Field(Rollout(), description="How a changed pod template replaces the running pods.")
    drain: Drain = Field(Drain(), description="How a pod ends.")
    pod: PodOverlay = Field(PodOverlay(), description="What the platform adds to the engine pods.")
    paused: bool = Field(
        False, description="While true the operator changes nothing of this deployment and only reports its status."
    )


__all__ = ["KIND", "PLURAL", "RESERVED_FLAGS", "SLMDeploymentSpec"]
