"""Certificates of a run: who may read them, what they prove, and to whom."""

import ssl
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from distributed import LocalCluster

from corpus_lonely.cli.main import main
from corpus_lonely.cluster import ClusterSettings, open_cluster
from corpus_lonely.cluster.host import hand_over, take_over
from corpus_lonely.cluster.security import NAMES, from_files, make_credentials
from corpus_lonely.errors import InputError, OutputError
from tests.cluster.strangers import answer, assert_strangers_are_turned_away


def test_the_command_writes_files_that_their_owner_alone_reads(tmp_path: Path) -> None:
    out = tmp_path / "new" / "tls"
    ran = CliRunner().invoke(main, ["cluster", "certificates", "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    key = (out / "key.pem").read_text()
    assert "PRIVATE KEY" in key
    assert not any(line in ran.output for line in key.splitlines())
    again = CliRunner().invoke(main, ["cluster", "certificates", "--out", str(out)])
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert (out / "key.pem").read_text() == key


def test_python_that_checks_strictly_takes_them(tmp_path: Path) -> None:
    ca, cert, key = make_credentials().write(tmp_path / "tls")
    contexts = [ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)]
    for context in contexts:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python sets from 3.13 on
        context.load_verify_locations(ca)
        context.load_cert_chain(cert, key)
    wires = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    ends = [
        contexts[0].wrap_bio(wires[0], wires[1], server_side=False),
        contexts[1].wrap_bio(wires[1], wires[0], server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert all(end.version() for end in ends)
    assert ends[1].getpeercert()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    make_credentials().write(tmp_path)
    with pytest.raises(OutputError, match="is there already"):
        make_credentials().write(tmp_path)


def test_each_run_has_its_own_authority_whose_key_is_forgotten() -> None:
    one, two = make_credentials(), make_credentials()
    for made, other in ((one, two), (two, one)):
        cert = x509.load_pem_x509_certificate(made.cert.encode())
        cert.verify_directly_issued_by(x509.load_pem_x509_certificate(made.ca.encode()))
        with pytest.raises(InvalidSignature):
            cert.verify_directly_issued_by(x509.load_pem_x509_certificate(other.ca.encode()))
        assert made.key.count("PRIVATE KEY") == 2  # of the certificate, and no other


def test_keys_are_not_shown() -> None:
    made = make_credentials()
    assert repr(made) == "Credentials()"
    assert "PRIVATE" not in repr(made.security())


def test_they_go_to_another_host_in_one_line() -> None:
    made = make_credentials()
    line = hand_over(made)
    assert line.count("\n") == 1
    assert take_over(line).get_tls_config_for_role("worker")["key"] == made.key
    for wrong in ("", "x", "[]", '{"ca": "x"}'):
        with pytest.raises(InputError, match="holds no certificates of a run"):
            take_over(wrong)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return make_credentials().write(tmp_path / "tls")


def test_a_scheduler_with_them_takes_their_holder_and_turns_strangers_away(
    files: tuple[Path, Path, Path],
) -> None:
    ca, cert, key = files
    with LocalCluster(
        n_workers=1,
        processes=False,
        protocol="tls://",
        host="0.0.0.0",  # as on SLURM and SSH: the network reaches it
        dashboard_address=None,
        security=from_files(ca, cert, key),
    ) as other:
        settings = ClusterSettings(
            scheduler=other.scheduler_address, tls_ca=ca, tls_cert=cert, tls_key=key
        )
        with open_cluster(settings) as opened:
            assert opened.client.submit(sum, [1, 2]).result() == 3
            assert answer(opened.address, from_files(ca, cert, key)) != b""
            assert_strangers_are_turned_away(opened.address)
            for worker in opened.workers():
                assert_strangers_are_turned_away(worker)


def test_credentials_are_no_longer_than_a_season() -> None:
    cert = x509.load_pem_x509_certificate(make_credentials().cert.encode())
    valid = cert.not_valid_after_utc - cert.not_valid_before_utc
    assert 7 < valid.days < 100  # a week unattended, and a host's clock may be wrong by a day
