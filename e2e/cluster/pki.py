"""The cluster's certificate authority, its certificates and the kubeconfigs made from them."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .settings import Settings

YEARS = 10


@dataclass(frozen=True)
class Client:
    """A client certificate: the common name is the user, the organisation the group."""

    file: str
    user: str
    group: str | None = None


def clients(settings: Settings) -> tuple[Client, ...]:
    """Who talks to the API server, under the names that the built-in RBAC rules know; last, it to the kubelet."""
    return (
        Client("admin", "admin", "system:masters"),
        Client("controller-manager", "system:kube-controller-manager"),
        Client("scheduler", "system:kube-scheduler"),
        Client("proxy", "system:kube-proxy"),
        Client("kubelet", f"system:node:{settings.node}", "system:nodes"),
        Client("apiserver-kubelet", "kube-apiserver", "system:masters"),
    )


def exists(settings: Settings) -> bool:
    """Whether this state directory has its certificates: without them whatever runs belongs to an earlier one."""
    return (settings.pki / "complete").exists()


def ensure(settings: Settings) -> None:
    """Make every key, certificate and kubeconfig that is missing."""
    folder = settings.pki
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not exists(settings):
        _issue_all(settings, folder)
        (folder / "complete").touch()
    server = f"https://127.0.0.1:{settings.api_port}"
    for client in clients(settings):
        _kubeconfig(folder / f"{client.file}.kubeconfig", folder, client.file, server)
    _kubeconfig(settings.kubeconfig, folder, "admin", server)


def _issue_all(settings: Settings, folder: Path) -> None:
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("slmfleet-local-cluster")
    _write_key(folder / "ca.key", authority)
    ca = _builder(issuer, authority.public_key(), issuer).add_extension(
        x509.BasicConstraints(True, None), critical=True
    )
    _write_cert(folder / "ca.crt", ca.sign(authority, hashes.SHA256()))
    for client in clients(settings):
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        _issue(folder, client.file, _name(client.user, client.group), usage, [], (issuer, authority))
    names: list[x509.GeneralName] = [
        x509.DNSName(name)
        for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                     f"kubernetes.default.svc.{settings.domain}", settings.node)
    ]  # fmt: skip
    addresses = ("127.0.0.1", settings.api_service_ip, settings.gateway)
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    for server in ("apiserver", "kubelet-server"):
        _issue(folder, server, _name(server), [ExtendedKeyUsageOID.SERVER_AUTH], names, (issuer, authority))
    _write_key(folder / "service-accounts.key", ec.generate_private_key(ec.SECP256R1()))


def _issue(
    folder: Path,
    file: str,
    subject: x509.Name,
    usage: Sequence[x509.ObjectIdentifier],
    names: Sequence[x509.GeneralName],
    authority: tuple[x509.Name, ec.EllipticCurvePrivateKey],
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, key.public_key(), authority[0])
    builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write_key(folder / f"{file}.key", key)
    _write_cert(folder / f"{file}.crt", builder.sign(authority[1], hashes.SHA256()))


def _name(user: str, group: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    # An hour back: the machine's clock may be set right after its first start.
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=365 * YEARS))
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _write_cert(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _kubeconfig(path: Path, pki: Path, client: str, server: str) -> None:
    cluster = {"server": server, "certificate-authority": str(pki / "ca.crt")}
    user = {"client-certificate": str(pki / f"{client}.crt"), "client-key": str(pki / f"{client}.key")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "slmfleet", "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": "slmfleet", "context": {"cluster": "slmfleet", "user": client}}],
        "current-context": "slmfleet",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
