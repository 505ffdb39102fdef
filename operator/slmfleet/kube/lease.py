"""Leader election on a coordination.k8s.io Lease."""

import asyncio
import logging
from datetime import UTC, datetime
from random import Random
from typing import Final

from .client import Client
from .errors import ConflictError, KubeError, NotFoundError, NotLeaderError
from .resources import LEASES, Manifest

DURATION: Final = 15.0
RENEW_DEADLINE: Final = 10.0
RETRY: Final = 2.0
_TIMEOUT: Final = 5.0

logger = logging.getLogger(__name__)


class Lease:
    """Held by at most one process, which stops writing well before another may take it.

    No clocks are compared between machines: a candidate takes over after it has *seen the record unchanged* for 15 s of
    its own time, the holder stops 10 s after the start of its last successful renewal.
    """

    def __init__(self, client: Client, namespace: str, name: str, identity: str, rng: Random) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._rng = rng
        self._record: Manifest | None = None
        self._record_seen = 0.0
        self._renewed: float | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write."""
        return self._renewed is not None and _now() < self._renewed + RENEW_DEADLINE

    def assert_held(self) -> float:
        """Called before every write: the seconds for which this process may still write.

        Raises NotLeaderError when the lease is not held or was not renewed in time.
        """
        if not self.held:
            raise NotLeaderError(
                f"lease {self._namespace}/{self._name} is not held by {self._identity}: nothing is written"
            )
        assert self._renewed is not None
        return self._renewed + RENEW_DEADLINE - _now()

    async def acquire(self) -> None:
        """Wait until the lease is held. Never raises anything but CancelledError."""
        trouble = ""
        while not await self._attempt():
            holder = (self._record or {}).get("spec", {}).get("holderIdentity")
            news = f"lease {self._namespace}/{self._name} is held by {holder or 'nobody'}: standing by"
            if news != trouble:
                logger.info(news)
            trouble = news
            await self._pause()
        logger.info("lease %s/%s acquired by %s", self._namespace, self._name, self._identity)

    async def hold(self) -> None:
        """Renew the lease until it is lost; then raises NotLeaderError."""
        while True:
            await self._pause()
            self.assert_held()  # a process that was frozen too long must not take it back as if nothing had happened
            await self._attempt()
            self.assert_held()

    async def release(self) -> None:
        """Give the lease back, so that the next holder need not wait; a failure only costs that wait."""
        if not self.held:
            return
        self._renewed = None
        try:
            record = await self._client.get(LEASES, self._namespace, self._name, within=_TIMEOUT)
            if record["spec"].get("holderIdentity") == self._identity:
                await self._write(record, holder="", seconds=1)
        except KubeError as error:
            logger.info("lease not released, it runs out in %.0f s: %s", DURATION, error)

    async def _attempt(self) -> bool:
        """One try to take or renew the lease."""
        began = _now()
        try:
            async with asyncio.timeout(_TIMEOUT):
                if not self.held:
                    self._observe(await self._read())
                if not self._mine_to_take():
                    self._renewed = None
                    return False
                self._record = await self._write(self._record, holder=self._identity, seconds=int(DURATION))
        except ConflictError:
            await self._lost_race()
            return False
        except NotFoundError:
            self._record = None  # somebody deleted it: the next try makes a new one, or finds another holder's
            return False
        except (KubeError, TimeoutError) as error:
            logger.warning("lease %s/%s: %s", self._namespace, self._name, str(error) or "no answer in time")
            return False
        self._renewed = began
        return True

    async def _lost_race(self) -> None:
        """Somebody else wrote the record: whether we still hold it is what it says now."""
        try:
            record = await self._client.get(LEASES, self._namespace, self._name, within=_TIMEOUT)
        except KubeError:
            return  # still unknown; the deadline decides
        self._observe(record)
        if record["spec"].get("holderIdentity") != self._identity:
            self._renewed = None

    async def _read(self) -> Manifest | None:
        try:
            return await self._client.get(LEASES, self._namespace, self._name, within=_TIMEOUT)
        except NotFoundError:
            return None

    def _observe(self, record: Manifest | None) -> None:
        if record is None or self._record is None or record["spec"] != self._record["spec"]:
            self._record_seen = _now()
        self._record = record

    def _mine_to_take(self) -> bool:
        if self._record is None or self.held:
            return True
        spec = self._record["spec"]
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        return _now() >= self._record_seen + float(spec.get("leaseDurationSeconds") or DURATION)

    async def _write(self, record: Manifest | None, *, holder: str, seconds: int) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # for people only
        spec = dict((record or {}).get("spec", {}))
        if spec.get("holderIdentity") != holder:
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + bool(record)}
        spec |= {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": now}
        if record is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            new = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
            return await self._client.create(LEASES, self._namespace, new, within=_TIMEOUT)
        return await self._client.replace(LEASES, self._namespace, record | {"spec": spec}, within=_TIMEOUT)

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY * (0.9 + 0.2 * self._rng.random()))


def _now() -> float:
    return asyncio.get_running_loop().time()
