"""A package index on disk with tiny packages, built on the spot: nothing is fetched.

Environments made from it import all else from the environment that the tests run in.
"""

from __future__ import annotations

import base64
import hashlib
import sysconfig
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from asyncdb_bench.plan.environments import installed, own_requirements

HERE = sysconfig.get_path("purelib")


class TinyIndex:
    """An index in a folder.

    Parameters
    ----------
    folder : made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "simple"
        self.cache = folder / "cache"
        self.environment = {
            "UV_DEFAULT_INDEX": self.folder.as_uri(),
            "UV_CACHE_DIR": str(folder / "uv"),
            "UV_NO_CONFIG": "1",
            "ASYNCDB_BENCH_CACHE": str(self.cache),
        }
        versions = installed()
        for each in own_requirements():
            name = canonicalize_name(Requirement(each).name)
            if name in versions:
                self.add(name, versions[name], {})

    def add(
        self,
        name: str,
        version: str,
        files: dict[str, str] | None = None,
        *,
        needs: tuple[str, ...] = (),
        yanked: bool = False,
    ) -> None:
        """Add a release of a package; one with files imports all else from the tests' environment.

        Parameters
        ----------
        name, version : of it.
        files : content by path; None: a module that knows its version.
        needs : requirements.
        yanked : whether it was taken back.
        """
        module = name.replace("-", "_")
        if files is None:
            # what is added by hand comes first: the environment's own stays where it is
            files = {f"{module}.py": f"VERSION = {version!r}\n", f"{module}.pth": f"{HERE}\n"}
        page = self.folder / canonicalize_name(name)
        page.mkdir(parents=True, exist_ok=True)
        wheel = f"{module}-{version}-py3-none-any.whl"
        info = f"{module}-{version}.dist-info"
        needed = "".join(f"Requires-Dist: {each}\n" for each in needs)
        files = files | {
            f"{info}/METADATA": "Metadata-Version: 2.1\n"
            f"Name: {name}\nVersion: {version}\n{needed}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n",
        }
        record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in files.items())
        with zipfile.ZipFile(page / wheel, "w") as built:
            for path, text in files.items():
                built.writestr(path, text)
            built.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        link = f'<a href="{wheel}"{" data-yanked=broken" if yanked else ""}>{wheel}</a>\n'
        with (page / "index.html").open("a") as listed:
            listed.write(link)


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
