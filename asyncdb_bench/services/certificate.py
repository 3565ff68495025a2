"""A certificate for one run: made of nothing, gone with the cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def make_certificate(folder: Path, identity: dict[str, Any]) -> tuple[Path, Path]:
    """Write a certificate for loopback and its key, by an authority that is thrown away.

    Parameters
    ----------
    folder : where to.
    identity : ``user`` and ``group`` of the account that reads them; empty: ours.

    Returns
    -------
    Certificate and key.
    """
    import trustme

    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "server.crt", folder / "server.key"
    for path, blob in ((certificate, issued.cert_chain_pems[0]), (key, issued.private_key_pem)):
        path.touch(mode=0o600)
        path.write_bytes(blob.bytes())
        if identity:
            os.chown(path, identity["user"], identity["group"])
    return certificate, key
