"""With what provenance is signed: a key made on this computer, or the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from avatar.core.errors import InputError, VisavisError
from avatar.core.paths import home, home_path
from avatar.core.private_file import write_private

FOLDER, FILE = "keys", "provenance.pem"
MADE_BY = "a key that visavis made"  # read on other computers too
YEARS = 10
_MOST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A P-256 key with its certificates (PEM), the signing one first."""

    key: ec.EllipticCurvePrivateKey
    chain: str

    def sign(self, data: bytes) -> bytes:
        """ES256, as of RFC 7518: the two numbers, 32 bytes each."""
        first, second = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")


def own_key() -> SigningKey:
    """The one of this computer and user, made on first use, readable by its owner alone. Raises VisavisError."""
    path = home() / FOLDER / FILE
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(_made(), path)
        except OSError as error:
            raise VisavisError(f"No key can be kept in {path} ({error.strerror}). Free some space.") from error
    return read_key(path)


def own_root() -> str:
    """The root's certificate (PEM) of `own_key`: below it is that key alone. "" where there is none; makes nothing."""
    path = home_path() / FOLDER / FILE
    try:
        chain = read_key(path).chain if path.is_file() else ""
    except (InputError, OSError):  # as without one: nothing is signed by what cannot be read
        return ""
    return chain[chain.rindex("-----BEGIN") :] if chain else ""


def read_key(path: Path) -> SigningKey:
    """A PEM file that holds an unencrypted P-256 key, and the certificates from the signing one up.

    Raises InputError.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES)
        key, chain = load_pem_private_key(text, None), x509.load_pem_x509_certificates(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read as a signing key ({error.strerror}).") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} is no PEM file with an unencrypted key and its certificates.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(f"{path} holds another key than P-256, which is the kind that can be used.")
    if chain[0].public_key() != key.public_key():
        raise InputError(f"{path}: its first certificate is that of another key.")
    return SigningKey(key, "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain))


def _made() -> bytes:
    """A key, its certificate and that of the root above, which C2PA asks for; nobody keeps the root's key."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("visavis, of one computer", root_key, "visavis, of one computer", root_key)
    signing = _certificate("visavis", key, "visavis, of one computer", root_key)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return written + signing.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """As the profile of C2PA 2.2, 14.5, has it."""
    root, now = key is issuer_key, datetime.now(UTC)
    usage = {"digital_signature": not root, "key_cert_sign": root, "crl_sign": root}
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage |= dict.fromkeys((*unused, "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(common: str) -> x509.Name:
    names = (x509.NameAttribute(NameOID.COMMON_NAME, common), x509.NameAttribute(NameOID.ORGANIZATION_NAME, MADE_BY))
    return x509.Name(names)
