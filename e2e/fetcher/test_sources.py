"""Fetching over the wire: each kind of source, with the faults that they have."""

import stat
from pathlib import Path

import pytest

from e2e.fetcher.conftest import FOLDER, Opened
from e2e.fetcher.runs import Place
from e2e.fetcher.servers import Buckets, Handler, Hub, Store, serving
from e2e.fetcher.tls import issue
from slmfleet.guard.adapter_files import digest

OTHER = "sha256:" + "0" * 64


def test_an_adapter_arrives_under_its_digest_readable_for_everybody(
    place: Place, content: dict[str, bytes], tmp_path: Path
) -> None:
    ended = place.fetch()
    assert ended.code == 0, ended
    assert (ended.result["rank"], ended.result["base"]) == (2, "Qwen/Qwen3-8B")
    assert ended.result["digest"] == digest(tmp_path / "made")
    folder = place.root / ended.result["digest"].removeprefix("sha256:")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert place.left_behind() == [folder.name]


def test_what_no_adapter_needs_is_left_out_and_told(place: Place, store: Store, content: dict[str, bytes]) -> None:
    for name in (".gitattributes", "training_args.bin", "plot.png", "checkpoint-5/optimizer.pt"):
        store.files[f"{FOLDER}/{name}"] = b"x"
    ended = place.fetch()
    assert ended.code == 0, ended
    folder = place.root / ended.result["digest"].removeprefix("sha256:")
    assert {path.name for path in folder.iterdir()} == set(content)
    assert "left out, since no adapter needs them: .gitattributes, checkpoint-5/optimizer.pt, plot.png" in ended.output


def test_other_files_than_the_manifest_means_are_refused(place: Place) -> None:
    ended = place.fetch("--digest", OTHER)
    assert (ended.code, ended.result["error"]) == (3, "DigestMismatch"), ended
    assert f"spec.source.digest is {OTHER}" in ended.result["message"]
    assert place.left_behind() == []


def test_a_source_larger_than_the_bound_is_refused_before_anything_is_read(place: Place, store: Store) -> None:
    ended = place.fetch(max_bytes=100)
    assert (ended.code, ended.result["error"]) == (3, "TooLarge"), ended
    assert store.asked_for("adapter_config.json") == 0
    assert place.left_behind() == []


def test_a_file_that_is_larger_than_the_list_says_is_not_read_to_its_end(place: Place, store: Store) -> None:
    name = f"{FOLDER}/adapter_model.safetensors"
    store.listed[name] = 5
    store.files[name] = bytes(2**24)
    ended = place.fetch()
    assert (ended.code, ended.result["error"]) == (4, "Unreachable"), ended
    assert "adapter_model.safetensors has another size than the list" in ended.result["message"]
    assert place.left_behind() == []


def test_a_pickle_beside_the_weights_is_refused_by_its_name(place: Place, store: Store) -> None:
    store.files[f"{FOLDER}/adapter_model.bin"] = b"pickle"
    ended = place.fetch()
    assert (ended.code, ended.result["error"]) == (3, "PickleRefused"), ended
    assert ended.result["message"].startswith("adapter_model.bin in ")
    assert store.asked_for("adapter_model.bin") == 0
    assert place.left_behind() == []


def test_a_name_that_leads_out_of_the_folder_is_refused(place: Place, store: Store) -> None:
    store.files[f"{FOLDER}/../../escaped.json"] = b"{}"
    ended = place.fetch()
    assert (ended.code, ended.result["error"]) == (3, "UnsafeFile"), ended
    assert place.left_behind() == []
    assert list(place.work.rglob("escaped.json")) == []


def test_a_folder_without_a_configuration_is_no_adapter(place: Place, store: Store) -> None:
    del store.files[f"{FOLDER}/adapter_config.json"]
    ended = place.fetch()
    assert (ended.code, ended.result["error"]) == (3, "NotFound"), ended
    assert "there is no adapter_config.json in" in ended.result["message"]


def test_the_folder_above_the_adapter_is_refused_with_the_right_one(place: Place) -> None:
    ended = place.fetch(uri=place.uri.removesuffix("/v7"))
    assert (ended.code, ended.result["error"]) == (3, "NotFound"), ended
    assert "there is one in v7: name that folder" in ended.result["message"]


def test_what_does_not_exist_is_said_not_to(place: Place) -> None:
    ended = place.fetch(uri=place.uri.replace("legal", "ilegal").replace("adapters", "buckets"))
    assert (ended.code, ended.result["error"]) == (3, "NotFound"), ended
    assert place.left_behind() == []


def test_a_server_that_is_busy_for_a_moment_is_asked_again(place: Place, store: Store) -> None:
    store.fail |= {"": 1, "adapter_config.json": 1}
    ended = place.fetch()
    assert ended.code == 0, ended
    assert store.asked_for("adapter_config.json") == 2


def test_a_file_goes_on_where_its_connection_broke(place: Place, store: Store) -> None:
    store.files[f"{FOLDER}/README.md"] = bytes(range(256)) * 2**13  # 2 MiB
    store.cut["README.md"] = 1
    ended = place.fetch(max_bytes=2**22)
    assert ended.code == 0, ended
    ranges = [headers.get("Range", headers.get("range")) for path, headers in store.requests if "README" in path]
    assert len(ranges) == 2
    assert ranges[0] in (None, "bytes=0-")
    assert str(ranges[1]).startswith("bytes=10")
    folder = place.root / ended.result["digest"].removeprefix("sha256:")
    assert (folder / "README.md").read_bytes() == store.files[f"{FOLDER}/README.md"]


def test_a_branch_of_the_hub_is_read_at_one_commit(opened: Opened) -> None:
    with opened("hf") as place:
        assert place.fetch("--revision", "v7").code == 0
        ended = place.fetch("--revision", "v8")
    assert (ended.code, ended.result["error"]) == (3, "NotFound"), ended
    assert 'has no revision "v8"' in ended.result["message"]


@pytest.mark.parametrize(
    ("scheme", "good", "bad"),
    [
        ("hf", {"HF_TOKEN": "hf_goodgoodgood"}, {"HF_TOKEN": "hf_wrongwrong"}),
        (
            "s3",
            {"AWS_ACCESS_KEY_ID": "AKIAGOOD", "AWS_SECRET_ACCESS_KEY": "sec-ret-value"},
            {"AWS_ACCESS_KEY_ID": "AKIABAD", "AWS_SECRET_ACCESS_KEY": "oth-er-value", "AWS_SESSION_TOKEN": "tok-en"},
        ),
    ],
)
def test_the_secret_opens_the_source_and_nothing_shows_it(
    opened: Opened, store: Store, scheme: str, good: dict[str, str], bad: dict[str, str]
) -> None:
    store.key = next(iter(good.values()))
    with opened(scheme, **good) as place:
        assert place.fetch().code == 0
    with opened(scheme, **bad) as place:
        ended = place.fetch("--digest", OTHER)
    assert (ended.code, ended.result["error"]) == (3, "AccessDenied"), ended
    shown = f"{ended.output} {ended.result}"
    assert [value for value in bad.values() if value in shown] == []


def test_without_a_secret_a_private_source_says_what_is_missing(opened: Opened, store: Store) -> None:
    store.key = "hf_goodgoodgood"
    with opened("hf") as place:
        ended = place.fetch()
    assert (ended.code, ended.result["error"]) == (3, "NotFound"), ended
    assert "it is private: give the Secret HF_TOKEN" in ended.result["message"]


@pytest.mark.parametrize(
    ("scheme", "server", "secret"),
    [
        ("hf", Hub, {"HF_TOKEN": "hf_goodgoodgood"}),
        ("s3", Buckets, {"AWS_ACCESS_KEY_ID": "AKIAGOOD", "AWS_SECRET_ACCESS_KEY": "sec-ret-value"}),
    ],
)
def test_credentials_do_not_follow_a_redirect(
    opened: Opened, store: Store, scheme: str, server: type[Handler], secret: dict[str, str]
) -> None:
    store.key = next(iter(secret.values()))
    elsewhere = Store(dict(store.files))
    with serving(server, elsewhere) as mirror, opened(scheme, **secret) as place:
        # Another host for the client: ports alone are the same one for some.
        store.mirror = mirror.replace("127.0.0.1", "localhost")
        ended = place.fetch()
    assert ended.code == 0, ended
    assert elsewhere.asked_for("adapter_model.safetensors") == 1
    sent = {name.lower() for _, headers in elsewhere.requests for name in headers}
    assert "authorization" not in sent
    assert "s1gned" not in ended.output


def test_an_endpoint_of_a_private_authority_is_trusted_with_its_certificate_alone(
    opened: Opened, scheme: str, tmp_path: Path
) -> None:
    authority, identity = issue(tmp_path)
    with opened(scheme, identity) as place:
        stranger = place.fetch()
        assert (stranger.code, stranger.result["error"]) == (3, "Unreachable"), stranger
        assert "give the Secret its CA_CERTIFICATE" in stranger.result["message"]
    with opened(scheme, identity, CA_CERTIFICATE=authority) as place:
        ended = place.fetch()
    assert ended.code == 0, ended


def test_a_server_that_is_not_there_is_worth_another_attempt(opened: Opened, scheme: str) -> None:
    with opened(scheme) as gone:
        pass
    ended = gone.fetch()
    assert (ended.code, ended.result["error"]) == (4, "Unreachable"), ended
    assert "Connection refused" in ended.result["message"]
