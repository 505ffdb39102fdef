"""`spec.pod`: the narrow overlay on the engine pods.

A whole PodSpec would make the CRD larger than client-side apply can carry and would let every field that the
operator depends on be broken; these are the ones that platforms set.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, DataKey, LabelKey, LabelValue, ObjectName, Quantity, cel, rule

# Passed to the API server as written: it knows their schema and its answer becomes a condition.
OpaqueObject = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]


class LocalRef(ApiModel):
    """An object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object in this namespace.")


class KeyRef(ApiModel):
    """One key of a Secret or a ConfigMap of the same namespace."""

    name: ObjectName = Field(description="Name of the object in this namespace.")
    key: DataKey = Field(description="The key inside it.")


class EnvSource(ApiModel):
    """Where an environment variable's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "takes exactly one of secretKeyRef and configMapKeyRef",
                holds=lambda s: (s.secret_key_ref is None) != (s.config_map_key_ref is None),
            )
        )
    )

    secret_key_ref: KeyRef | None = Field(None, description="A key of a Secret of this namespace.")
    config_map_key_ref: KeyRef | None = Field(None, description="A key of a ConfigMap of this namespace.")


class EnvVar(ApiModel):
    """An environment variable of the engine container."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!(has(self.value) && has(self.valueFrom))",
                "takes value or valueFrom, not both: remove one",
                holds=lambda e: e.value is None or e.value_from is None,
            )
        )
    )

    name: str = Field(
        min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the variable."
    )
    value: str | None = Field(None, max_length=4096, description="Its value. Put secrets into valueFrom instead.")
    value_from: EnvSource | None = Field(None, description="Reads the value from a Secret or a ConfigMap.")


class Toleration(ApiModel):
    """A node taint that the pods tolerate."""

    key: str | None = Field(
        None, max_length=317, description="Taint key; empty with operator Exists means every taint."
    )
    operator: Literal["Exists", "Equal"] = Field("Equal", description="How key and value are compared.")
    value: str | None = Field(None, max_length=63, description="Taint value; only with operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Taint effect; absent means every effect."
    )
    toleration_seconds: int | None = Field(
        None, ge=0, le=86400, description="Seconds for which a NoExecute taint is tolerated; absent means for ever."
    )


_NO_GPUS = rule(
    "!('nvidia.com/gpu' in self) && !('amd.com/gpu' in self)",
    "the GPUs follow from spec.accelerator and spec.parallelism.tensor: remove them here",
    holds=lambda resources: not {"nvidia.com/gpu", "amd.com/gpu"} & resources.keys(),
    forbidden=True,
)


class ResourceRequirements(ApiModel):
    """CPU, memory and other resources of the engine container. The GPUs follow from accelerator and parallelism."""

    requests: dict[LabelKey, Quantity] | None = Field(
        None,
        max_length=16,
        description="Resources that the scheduler reserves, such as cpu: '4' (cores), memory: 16Gi.",
        json_schema_extra=cel(_NO_GPUS),
    )
    limits: dict[LabelKey, Quantity] | None = Field(
        None,
        max_length=16,
        description="Upper bounds that the kubelet enforces; above the memory limit the engine is killed.",
        json_schema_extra=cel(_NO_GPUS),
    )


class ClaimSource(ApiModel):
    """A PersistentVolumeClaim of the same namespace."""

    claim_name: ObjectName = Field(description="Name of the claim.")


class SecretSource(ApiModel):
    """A Secret mounted as files."""

    secret_name: ObjectName = Field(description="Name of the Secret.")


class EmptyDirSource(ApiModel):
    """A directory that lives as long as the pod."""

    medium: Literal["Memory"] | None = Field(None, description="Memory: a tmpfs that counts against the memory limit.")
    size_limit: Quantity | None = Field(
        None, description="Size in bytes, such as 10Gi, above which the pod is evicted."
    )


_OWN_PATHS = ("/cache", "/dev/shm", "/models", "/pvc", "/slmfleet", "/tmp")  # noqa: S108 - paths inside the engine's container


class ExtraVolume(ApiModel):
    """A volume and the place where the engine container sees it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.persistentVolumeClaim), has(self.configMap), has(self.secret), has(self.emptyDir)]"
                ".filter(x, x).size() == 1",
                "takes exactly one of persistentVolumeClaim, configMap, secret and emptyDir",
                holds=lambda v: [v.persistent_volume_claim, v.config_map, v.secret, v.empty_dir].count(None) == 3,
            )
        )
    )

    name: str = Field(
        min_length=1, max_length=50, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Name of the volume."
    )
    mount_path: str = Field(
        min_length=2,
        max_length=256,
        pattern=r"^(/[A-Za-z0-9._@-]+)+$",
        description="Absolute path in the engine container. /cache, /dev/shm, /models, /pvc, /slmfleet and /tmp belong "
        "to the operator.",
        json_schema_extra=cel(
            rule(
                f"!{list(_OWN_PATHS)}.exists(p, self == p || self.startsWith(p + '/'))",
                f"lies under {', '.join(_OWN_PATHS)}, which the operator uses: choose another path",
                holds=lambda path: not any(path == own or path.startswith(f"{own}/") for own in _OWN_PATHS),
                message_expression=f"self + ' lies under {', '.join(_OWN_PATHS)}, which the operator uses: choose "
                "another path'",
            ),
            rule(
                "!self.split('/').exists(part, part == '.' || part == '..')",
                "must not contain '.' or '..': write it out",
                holds=lambda path: not {".", ".."} & set(path.split("/")),
            ),
        ),
    )
    read_only: bool = Field(True, description="Whether the engine may only read it.")
    persistent_volume_claim: ClaimSource | None = Field(None, description="A claim of this namespace.")
    config_map: LocalRef | None = Field(None, description="A ConfigMap of this namespace.")
    secret: SecretSource | None = Field(None, description="A Secret of this namespace, as files.")
    empty_dir: EmptyDirSource | None = Field(None, description="A directory that lives as long as the pod.")


_OWN_KEYS = rule(
    "self.all(k, !k.startsWith('slmfleet.dev/') && !k.startsWith('app.kubernetes.io/'))",
    "keys under slmfleet.dev/ and app.kubernetes.io/ belong to the operator, selectors depend on them: use another key",
    holds=lambda keys: not any(key.startswith(("slmfleet.dev/", "app.kubernetes.io/")) for key in keys),
    message_expression="self.filter(k, k.startsWith('slmfleet.dev/') || k.startsWith('app.kubernetes.io/'))[0] + "
    "': keys under slmfleet.dev/ and app.kubernetes.io/ belong to the operator, selectors depend on them: "
    "use another key'",
)


class PodOverlay(ApiModel):
    """What the platform adds to the engine pods. Everything here rolls the pods when it changes."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.idsFromNamespace) || !self.idsFromNamespace || !(has(self.runAsUser) || has(self.fsGroup))",
                "is true, so the namespace decides on user and groups: remove runAsUser and fsGroup",
                holds=lambda pod: not pod.ids_from_namespace or (pod.run_as_user is None and pod.fs_group is None),
                field=".idsFromNamespace",
                forbidden=True,
            )
        )
    )

    labels: dict[LabelKey, LabelValue] | None = Field(
        None, max_length=32, description="Extra labels of the pods.", json_schema_extra=cel(_OWN_KEYS)
    )
    annotations: dict[LabelKey, Annotated[str, Field(max_length=4096)]] | None = Field(
        None, max_length=32, description="Extra annotations of the pods.", json_schema_extra=cel(_OWN_KEYS)
    )
    resources: ResourceRequirements | None = Field(
        None,
        description="CPU and memory of the engine container. Default: requests of 1 CPU and 4Gi per GPU, no limits.",
    )
    node_selector: dict[LabelKey, LabelValue] | None = Field(
        None, max_length=32, description="Node labels that are required in addition to those of the accelerator class."
    )
    tolerations: list[Toleration] | None = Field(
        None, max_length=32, description="Taints that are tolerated in addition to those of the accelerator class."
    )
    affinity: OpaqueObject | None = Field(
        None,
        description="Affinity as in a PodSpec; replaces the soft spreading over nodes. The accelerator class's node "
        "terms stay.",
    )
    topology_spread_constraints: list[OpaqueObject] | None = Field(
        None, max_length=8, description="Topology spread constraints as in a PodSpec."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    service_account_name: ObjectName | None = Field(
        None, description="An existing ServiceAccount to use; the operator then makes none. Its token is not mounted."
    )
    image_pull_secrets: list[LocalRef] | None = Field(
        None, max_length=8, description="Secrets with registry credentials for the engine image."
    )
    env: list[EnvVar] | None = Field(
        None,
        max_length=64,
        description="Environment variables of the engine container; they win over the operator's own.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    volumes: list[ExtraVolume] | None = Field(
        None,
        max_length=16,
        description="Extra volumes with their mount paths.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    run_as_user: int | None = Field(
        None, ge=1, le=2147483647, description="Numeric user id of the engine. Default 2000; root is refused."
    )
    fs_group: int | None = Field(
        None, ge=1, le=2147483647, description="Numeric group id that owns the volumes. Default 2000."
    )
    supplemental_groups: list[Annotated[int, Field(ge=1, le=2147483647)]] | None = Field(
        None,
        max_length=16,
        description="Further numeric groups of the engine, such as those that own /dev/kfd and /dev/dri on AMD nodes.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    ids_from_namespace: bool | None = Field(
        None,
        description="true: leave user and groups to admission, which assigns those of the namespace: OpenShift's "
        "restricted-v2 refuses all others. The image's own user must not be root where nothing assigns one.",
    )
