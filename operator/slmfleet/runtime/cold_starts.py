"""Every fleet's ledger of starts, for as long as the fleet and this process live."""

from collections.abc import Collection

from slmfleet.api.cold_start import ColdStartStatus
from slmfleet.core.autoscale.coldstart import Ledger
from slmfleet.kube.resources import Key, Manifest, name_of, uid_of


class ColdStarts:
    """Fed by reconciles, which every change of a pod brings; read by them and by the scaling loop."""

    def __init__(self) -> None:
        self._ledgers: dict[Key, tuple[str, Ledger]] = {}

    def see(self, slm: Manifest, pods: Collection[Manifest]) -> Ledger:
        """The fleet's ledger, with its pods as they are taken in; a fresh one begins with what the status tells."""
        key, uid = name_of(slm), uid_of(slm)
        known = self._ledgers.get(key)
        if known is None or known[0] != uid:
            before = ColdStartStatus.of((slm.get("status") or {}).get("coldStart"))
            known = self._ledgers[key] = (uid, Ledger(before))
        known[1].see(pods)
        return known[1]

    def known(self, key: Key, uid: str) -> Ledger | None:
        """The fleet's ledger as it is; None where its pods were not seen yet, or it is gone."""
        seen = self._ledgers.get(key)
        return seen[1] if seen is not None and seen[0] == uid else None

    def forget(self, key: Key) -> None:
        """The fleet is gone."""
        self._ledgers.pop(key, None)
