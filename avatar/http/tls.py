"""A certificate of our own making, for a server that others on the network reach."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from avatar.core.errors import InputError
from avatar.core.private_file import write_private

VALID_DAYS = 365
WEEK = datetime.timedelta(days=7)


def own_certificate(folder: Path, hosts: list[str]) -> tuple[Path, bytes]:
    """A PEM file in `folder` with key and certificate for `hosts`, and the certificate's SHA-256.

    Kept from run to run, so that a browser that has accepted it does not ask again; made anew when it does not name
    all `hosts`, ends within a week, or has not begun, because the clock was wrong when it was made.
    """
    path = folder / "call.pem"
    if path.is_file():
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            known = {str(name.value) for name in names}
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if set(hosts) <= known and begins <= _now() < ends - WEEK:
                return path, _digest(certificate)
        except (ValueError, x509.ExtensionNotFound):
            pass  # not ours, or damaged: replaced
    return path, _make(path, hosts)


def context(path: Path, key: Path | None = None) -> ssl.SSLContext:
    """For a server with this certificate (and key, where it is another file). Raises InputError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        server.load_cert_chain(path, key, _refuse_passphrase)
    except _PassphraseError:
        raise InputError(
            f"{key or path} is locked by a passphrase, which nobody could type at every start. Write the key without "
            f"one, readable by you alone: (umask 077; openssl pkey -in {key or path} -out plain.pem). Then say --key "
            "plain.pem."
        ) from None
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{path} and its key cannot be used for TLS ({error}).") from error
    return server


class _PassphraseError(Exception):
    """OpenSSL wants a passphrase. Unless it is given a function, it asks at the terminal."""


def _refuse_passphrase() -> str:
    raise _PassphraseError


def digest_of(path: Path) -> bytes:
    """The SHA-256 of the first certificate in a PEM file. Raises InputError."""
    try:
        return _digest(x509.load_pem_x509_certificate(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no certificate ({error}).") from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _make(path: Path, hosts: list[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "visavis call")])
    now = _now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - WEEK)  # of a guest whose clock is behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(private + certificate.public_bytes(serialization.Encoding.PEM), path)
    return _digest(certificate)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _digest(certificate: x509.Certificate) -> bytes:
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
