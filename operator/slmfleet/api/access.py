"""`spec.access`: who may open connections to the engines.

vLLM leaves routes open even where it has an API key (/invocations, /adapters, /tokenize), so that reaching the port is
already a right.
"""

import re
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, cel, rule
from .labels import LabelSelector

# An IPv6 block has at most 39 characters and "/128".
Cidr = Annotated[str, Field(min_length=1, max_length=43)]


def _parsed(block: str) -> IPv4Interface | IPv6Interface | None:
    """An address and the length of its prefix; None for what the API server's isCIDR() refuses."""
    try:
        return ip_interface(block) if re.fullmatch("[^/]+/[0-9]{1,3}", block) else None
    except ValueError:
        return None


def _canonical(block: str) -> bool:
    found = _parsed(block)
    return found is not None and found.ip == found.network.network_address


def _narrower(inner: str, outer: str) -> bool:
    """Whether one block lies within another and is smaller; also for what is no block, of which other rules speak."""
    a, b = _parsed(inner), _parsed(outer)
    return a is None or b is None or (a.ip in b.network and a.network.prefixlen > b.network.prefixlen)


class IPBlock(ApiModel):
    """A block of addresses."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.except) || !isCIDR(self.cidr) || self.except.all(e, !isCIDR(e) || "
                "cidr(self.cidr).containsCIDR(e) && cidr(e).prefixLength() > cidr(self.cidr).prefixLength())",
                "an exception must lie within cidr and be smaller: correct it, or remove it",
                field=".except",
                holds=lambda b: all(_narrower(inner, b.cidr) for inner in b.except_ or ()),
            )
        )
    )

    cidr: Cidr = Field(
        description="The block, such as 10.0.0.0/8. Addresses of pods change: name those by their labels instead.",
        json_schema_extra=cel(
            rule(
                "isCIDR(self)",
                "is no block of addresses: write one such as 10.0.0.0/8, or 192.0.2.7/32 for a single address",
                message_expression="self + ' is no block of addresses: write one such as 10.0.0.0/8, or 192.0.2.7/32 "
                "for a single address'",
                holds=lambda c: _parsed(c) is not None,
            ),
            rule(
                "!isCIDR(self) || cidr(self) == cidr(self).masked()",
                "has bits behind its prefix: write the block's first address",
                message_expression='self + " has bits behind its prefix: write the block\'s first address"',
                holds=lambda c: _parsed(c) is None or _canonical(c),
            ),
        ),
    )
    except_: list[Cidr] | None = Field(
        None,
        alias="except",
        min_length=1,
        max_length=16,
        description="Smaller blocks within cidr that are left out.",
        json_schema_extra=cel(
            rule(
                "self.all(e, isCIDR(e) && cidr(e) == cidr(e).masked())",
                "holds what is no block of addresses: write each as its first address and a prefix, such as "
                "10.1.0.0/16",
                holds=lambda blocks: all(map(_canonical, blocks)),
            )
        ),
    )


class Peer(ApiModel):
    """Somebody who may connect: pods by their labels, or a block of addresses."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
                "takes either ipBlock, or podSelector and namespaceSelector: make it two entries",
                holds=lambda p: (p.ip_block is None) != (p.pod_selector is None and p.namespace_selector is None),
            )
        )
    )

    namespace_selector: LabelSelector | None = Field(
        None,
        description="Namespaces of the pods, such as matchLabels: {kubernetes.io/metadata.name: web}. "
        "Absent: this namespace; {}: all.",
    )
    pod_selector: LabelSelector | None = Field(
        None, description="The pods in these namespaces. Absent, or {}: all of them."
    )
    ip_block: IPBlock | None = Field(None, description="Addresses outside the cluster, or of nodes.")


class Access(ApiModel):
    """Who may open connections to the engines' port. Changes reach running pods and restart none."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                # A default is checked before it is completed: `default: {}` has none of the fields.
                "!has(self.networkPolicy) || self.networkPolicy == 'Managed' || "
                "!has(self.from) && (!has(self.sameNamespace) || self.sameNamespace)",
                "networkPolicy is None, so that nothing here would be enforced: remove from and sameNamespace, or set "
                "networkPolicy to Managed",
                holds=lambda a: a.network_policy == "Managed" or (a.from_ is None and a.same_namespace),
            )
        )
    )

    network_policy: Literal["Managed", "None"] = Field(
        "Managed",
        description="Managed: a NetworkPolicy lets in who is named here, the operator, and the scrapers of its "
        "installation. None: there is none, and whoever reaches the pods may connect, but for policies of your own.",
    )
    same_namespace: bool = Field(True, description="Whether every pod of this namespace may connect.")
    from_: list[Peer] | None = Field(
        None, alias="from", max_length=16, description="Others who may connect, as in a NetworkPolicy."
    )
