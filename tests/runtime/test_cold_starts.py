from slmfleet.kube.resources import Manifest
from slmfleet.runtime.cold_starts import ColdStarts
from tests.core.autoscale.pods import started

KEY = ("chat", "support")


def slm(uid: str = "1", **status: object) -> Manifest:
    return {"metadata": {"name": "support", "namespace": "chat", "uid": uid}, "status": status}


def test_a_fleets_starts_are_kept_from_one_reconcile_to_the_next() -> None:
    starts = ColdStarts()
    starts.see(slm(), [])
    starts.see(slm(), [started("a", 40.0)])
    assert starts.see(slm(), [started("a", 40.0), started("b", 60.0)]).lead_p90 == 60.0


def test_what_the_status_tells_is_where_a_fresh_process_begins() -> None:
    first = ColdStarts().see(slm(), [started("a", 40.0)]).status()
    assert first is not None
    assert ColdStarts().see(slm(coldStart=first.to_manifest()), []).lead_p50 == 40.0


def test_another_fleet_of_the_same_name_begins_anew() -> None:
    starts = ColdStarts()
    starts.see(slm(), [started("a", 40.0)])
    assert starts.see(slm("2"), []).status() is None


def test_a_ledger_is_read_without_looking_at_pods() -> None:
    starts = ColdStarts()
    assert starts.known(KEY, "1") is None
    seen = starts.see(slm(), [started("a", 40.0)])
    assert starts.known(KEY, "1") is seen
    assert starts.known(KEY, "2") is None
    starts.forget(KEY)
    assert starts.known(KEY, "1") is None


def test_a_fleet_that_is_gone_is_forgotten() -> None:
    starts = ColdStarts()
    starts.see(slm(), [started("a", 40.0)])
    starts.forget(KEY)
    starts.forget(KEY)
    assert starts.see(slm(), []).status() is None
