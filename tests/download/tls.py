"""A certificate for 127.0.0.1, valid from 2020 to 2119: for servers in tests, and trusted by nobody else."""

import ssl
from pathlib import Path

__all__ = ["client_context", "server_context"]

_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAkxMjcuMC4w
LjEwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CTEyNy4wLjAuMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHUkBKx3/cev2zrc
qzvxlmoahSny6KT8vA+zkK/0RlTZ8AMA4WtkPWsR6aJ3VC2pkDzv1yQlEMk8qP43
51F98jqjaDBmMA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAdBgNV
HQ4EFgQUyoJdZ+xv1AalAt0RGMfTbpSoN88wDgYDVR0PAQH/BAQDAgKEMBMGA1Ud
JQQMMAoGCCsGAQUFBwMBMAoGCCqGSM49BAMCA0gAMEUCIBqEVXL9VXwBUZs3tA4s
YIgMQYQidYgOcktoWnSh78x/AiEA8briLNjQ77g+BhBX5jOoLMyNWAVCdfcEZ/ZK
O7U/jNs=
-----END CERTIFICATE-----
"""
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/u/vmDtT+f2iAlqM
Si/1O2e21vNkKxptVI8MAvG8sNWhRANCAAR1JASsd/3Hr9s63Ks78ZZqGoUp8uik
/LwPs5Cv9EZU2fADAOFrZD1rEemid1QtqZA879ckJRDJPKj+N+dRffI6
-----END PRIVATE KEY-----
"""


def server_context(directory: Path) -> ssl.SSLContext:
    """Return what a server needs; `directory` is for the file that OpenSSL insists on."""
    chain = directory / "server.pem"
    chain.write_text(_KEY + _CERTIFICATE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return context


def client_context() -> ssl.SSLContext:
    """Return what a client needs to trust it."""
    return ssl.create_default_context(cadata=_CERTIFICATE)
