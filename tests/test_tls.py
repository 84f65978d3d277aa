"""The certificate of our own making."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from avatar.http import tls as server_tls


@pytest.mark.parametrize(
    ("then", "now", "kept"),
    [
        ("2026-06-01", "2026-06-01", True),
        ("2026-06-01", "2026-06-02", True),  # a day on
        ("2026-06-01", "2026-05-31", True),  # a day back: guests' clocks are no better
        ("2027-06-01", "2026-06-01", False),  # it was a year ahead: not valid yet
        ("1970-01-01", "2026-06-01", False),  # no battery: long over
        ("2026-06-01", "1970-01-01", False),
    ],
)
def test_our_own_certificate_is_valid_whatever_the_clock_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, now: str, kept: bool
) -> None:
    def own_certificate_on(day: str) -> tuple[Path, bytes]:
        moment = datetime.fromisoformat(f"{day}T00:00:00+00:00")
        monkeypatch.setattr(server_tls, "_now", lambda: moment)
        path, digest = server_tls.own_certificate(tmp_path, ["192.0.2.5"])
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert certificate.not_valid_before_utc < moment < certificate.not_valid_after_utc
        return path, digest

    assert (own_certificate_on(then) == own_certificate_on(now)) == kept
