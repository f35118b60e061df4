"""A certificate for 127.0.0.1, valid from 2020 to 2119: for servers in tests, and trusted by nobody else."""

import ssl
from pathlib import Path

__all__ = ["ANOTHER_CERTIFICATE", "CERTIFICATE", "certificate", "client_context", "server_context"]

CERTIFICATE = """\
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
#: One that nobody has the key of.
ANOTHER_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUDwWZfspi9A7PuqxAUGtgvF+1hscwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyNTAxMDIxN1oYDzIxMjYxMTAx
MDEwMjE3WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ7aeb7gM3+kmFIlH98jFicM7lhUrbU18BSZyNzFLHiyIqYTL/js1oS
n4bO2xaoqgyMfLcOLyZYLH20brWD5zjko2QwYjAdBgNVHQ4EFgQUM1TtvFC4kGe6
TG35uMzFEXGBtyIwHwYDVR0jBBgwFoAUM1TtvFC4kGe6TG35uMzFEXGBtyIwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQD9YLaSM3oJXTFeFr6Af3nsRxXhW++uI1A9Wcz6f9yUaAIgYJNQAaBcp0a3AJx+
JurtlVdCUtNwG0jk7fBGnYgbIIs=
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
    chain.write_text(_KEY + CERTIFICATE)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return context


def client_context() -> ssl.SSLContext:
    """Return what a client needs to trust it."""
    return ssl.create_default_context(cadata=CERTIFICATE)


def certificate(directory: Path) -> Path:
    """Return a file of it, as a client is given."""
    file = directory / "ca.pem"
    file.write_text(CERTIFICATE)
    return file
