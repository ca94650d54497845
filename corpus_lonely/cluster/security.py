"""Certificates made for one run: Dask runs whatever it is sent, so only who holds them may connect."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Security

from corpus_lonely.errors import OutputError
from corpus_lonely.files import open_private, output_error

NAMES = ("ca.pem", "cert.pem", "key.pem")
_VALID = timedelta(days=90)
_CLOCKS_DIFFER = timedelta(days=1)
"""Dask's own begin with the second they are made, and a host whose clock is behind refuses them."""


_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Credentials:
    """A certificate authority of one run and the one certificate it signed, as PEM.

    Scheduler, workers and clients show the same certificate. The authority's own key is forgotten once
    it has signed, so nobody can make another.
    """

    ca: str = field(repr=False)
    cert: str = field(repr=False)
    key: str = field(repr=False)

    def security(self) -> Security:
        """What Dask asks for, held in memory."""
        roles = ("client", "scheduler", "worker")
        certificates = {f"tls_{role}_cert": self.cert for role in roles}
        keys = {f"tls_{role}_key": self.key for role in roles}
        return Security(
            require_encryption=True,
            tls_ca_file=self.ca,
            **certificates,
            **keys,
        )

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Writes the three files of `NAMES`, which their owner alone can read; returns their paths.

        Raises OutputError when the folder holds one of them already: another run may be using it.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            paths = tuple(folder / name for name in NAMES)
            for path, content in zip(paths, (self.ca, self.cert, self.key), strict=True):
                with open_private(path, "w", new=True) as file:
                    file.write(content)
        except FileExistsError as error:
            raise OutputError(
                "is there already, and may be in use",
                where=error.filename,
                hint="Choose another --out, or delete that folder",
            ) from None
        except OSError as error:
            raise output_error(error, error.filename or folder) from error
        return paths[0], paths[1], paths[2]


def make_credentials() -> Credentials:
    """New keys, a new authority, and a certificate that both sides of each connection show."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = _name("corpus-lonely run authority"), _name("corpus-lonely run")
    ca = _builder(ca_name, ca_name, ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    # Python checks strictly from 3.13 on, and asks for these three
    known = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = ca.add_extension(known, critical=False).add_extension(_SIGNS, critical=True)
    signed = _builder(name, ca_name, key.public_key())
    signed = signed.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
    signed = signed.add_extension(issuer, critical=False)
    return Credentials(
        ca=_pem(ca.sign(ca_key, hashes.SHA256())),
        cert=_pem(signed.sign(ca_key, hashes.SHA256())),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def from_files(ca: Path | None, cert: Path | None, key: Path | None) -> Security:
    """What Dask asks for, from PEM files, in any role."""
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=_text(ca),
        **{f"tls_{role}_cert": _text(cert) for role in roles},
        **{f"tls_{role}_key": _text(key) for role in roles},
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
