"""Certificates for scenarios with TLS, made afresh by the openssl program."""

import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files."""

    folder: Path

    def path(self, name: str) -> str:
        """Return the path of `ca.pem`, `other_ca.pem`, `server.pem`, `server.key`, `client.pem` or `client.key`."""
        return str(self.folder / name)

    def read(self, name: str) -> bytes:
        """Return the file's content."""
        return (self.folder / name).read_bytes()


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Kept, so that they go with the process."""


@cache
def certificates() -> Certificates:
    """Return them, made at the first call. Raises OSError or CalledProcessError if openssl is missing or fails."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="sgw"))
    folder = Path(_FOLDERS[-1].name)
    for authority in ("ca", "other_ca"):
        # Of the same name: what tells them apart is the key alone.
        extensions = ("-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE")
        files = ("-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        _openssl(folder, "req", "-x509", *_NEW_KEY, "-days", "30", "-subj", "/CN=authority", *extensions, *files)
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        _openssl(folder, "req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        wanted = folder / f"{name}.ext"
        names = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n"
        wanted.write_text(f"{names}keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", wanted.name)
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return Certificates(folder)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
