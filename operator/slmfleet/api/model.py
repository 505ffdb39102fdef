"""`spec.model`: where the weights come from, where they are kept, and the names that the model answers to."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, ObjectName, Quantity, cel, rule
from .places import Revision, hub_only, place
from .pod import KeyRef
from .quantities import MIB, size

_NONE: Final = (None, None, None)


class ModelCache(ApiModel):
    """Where downloaded weights are kept, so that a restarted or added replica does not download them again."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.claimName) != has(self.size)",
                "takes claimName (a claim of yours) or size (the operator makes one), exactly one of them",
                holds=lambda c: (c.claim_name is None) != (c.size is None),
            ),
            rule(
                "!has(self.claimName)"
                " || !(has(self.storageClassName) || has(self.accessMode) || has(self.whenDeleted))",
                "storageClassName, accessMode and whenDeleted describe a claim that the operator makes: remove them or "
                "claimName",
                holds=lambda c: c.claim_name is None or (c.storage_class_name, c.access_mode, c.when_deleted) == _NONE,
            ),
            rule(
                "!has(self.size) || !has(oldSelf.size) || !quantity(self.size).isLessThan(quantity(oldSelf.size))",
                "no volume can shrink: keep the old size",
                message_expression="self.size + ' is less than the ' + oldSelf.size + ' of the existing claim, and no "
                "volume can shrink: keep ' + oldSelf.size",
                field=".size",
                forbidden=True,
            ),
            rule(
                "!has(self.size) || !has(oldSelf.size) || (has(self.storageClassName) == has(oldSelf.storageClassName)"
                " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
                " && (has(self.accessMode) ? self.accessMode : 'ReadWriteOnce')"
                " == (has(oldSelf.accessMode) ? oldSelf.accessMode : 'ReadWriteOnce'))",
                "storageClassName and accessMode of an existing claim cannot change: remove spec.model.cache, delete "
                "the claim, then set it again",
                forbidden=True,
            ),
        )
    )

    claim_name: ObjectName | None = Field(None, description="An existing PersistentVolumeClaim of this namespace.")
    size: Quantity | None = Field(
        None,
        description="Size in bytes of the claim that the operator makes, such as 50Gi. It can grow, not shrink.",
        json_schema_extra=cel(
            rule(
                "quantity(self).isGreaterThan(quantity('1Mi'))",
                "is in bytes and must be more than 1Mi, such as 50Gi",
                holds=lambda q: size(q) > MIB,
                message_expression="self + ' is in bytes and must be more than 1Mi, such as 50Gi'",
            )
        ),
    )
    storage_class_name: ObjectName | None = Field(
        None, description="StorageClass of the claim that the operator makes; absent means the cluster's default."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] | None = Field(
        None,
        description="Access mode of the claim that the operator makes. Default ReadWriteOnce, which keeps all "
        "replicas on one node; ReadWriteMany needs a storage class that offers it.",
    )
    when_deleted: Literal["Retain", "Delete"] | None = Field(
        None,
        description="Whether the claim outlives the SLMDeployment. Default Retain: a deployment of the same name finds "
        "it again.",
    )


class ModelSource(ApiModel):
    """The model: where its weights come from and the names it answers to."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            hub_only("revision", "revision"),
            hub_only("secretRef", "secret_ref"),
            hub_only("cache", "cache", why=", others are read where they are"),
        )
    )

    uri: str = Field(
        max_length=512,
        description="Where the weights are: hf://owner/name (Hugging Face hub), pvc://claim/path (a "
        "PersistentVolumeClaim of this namespace, mounted read-only) or image:///path (inside the engine image).",
        json_schema_extra=cel(*place("a model")),
    )
    revision: Revision | None = Field(
        None,
        description="Commit, tag or branch of an hf:// model. Pin a commit: a branch can change under running "
        "replicas.",
    )
    served_names: (
        list[Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]] | None
    ) = Field(
        None,
        min_length=1,
        max_length=8,
        description="Names that clients may put into 'model'. Default: the SLMDeployment's name. The first one labels "
        "metrics.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    secret_ref: KeyRef | None = Field(
        None, description="Secret key with the hub token of a gated model; it reaches the engine as HF_TOKEN."
    )
    cache: ModelCache | None = Field(
        None,
        description="Where downloaded weights are kept. Absent: each pod downloads into its own ephemeral storage.",
    )
