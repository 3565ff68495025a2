"""asyncdb-bench-attach as a distribution: built, and with Tornado alone in a bare environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import asyncdb_bench_attach

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "asyncdb_bench_attach"
APPLICATION = """
import json, sys
finders, modules = list(sys.meta_path), set(sys.modules)
import asyncdb_bench_attach
loaded = {each.partition(".")[0] for each in set(sys.modules) - modules}
assert loaded - set(sys.stdlib_module_names) == {"asyncdb_bench_attach"}, loaded
assert sys.meta_path == finders

import asyncio
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

class Light(RequestHandler):
    def get(self):
        self.write("ok")

async def main():
    socket, port = bind_unused_port()
    application = asyncdb_bench_attach.attach(Application([("/light", Light)]))
    HTTPServer(application).add_socket(socket)
    url, client = f"http://127.0.0.1:{port}", AsyncHTTPClient()
    answer = await client.fetch(f"{url}/light")
    beats = await client.fetch(f"{url}/.well-known/asyncdb-bench")
    return answer.headers["Server-Timing"], json.loads(beats.body)

header, beats = asyncio.run(main())
loaded = {each.partition(".")[0] for each in sys.modules} - set(sys.stdlib_module_names)
print(json.dumps([header, beats, sorted(loaded), sys.meta_path == finders]))
"""


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_built_and_attaches_where_nothing_but_tornado_is_installed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    # an sdist first, and the wheel from it, as index and installers do
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", cwd=source)
    (packed,) = (source / "dist").iterdir()
    shutil.unpack_archive(packed, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=unpacked)
    (wheel,) = (unpacked / "dist").iterdir()
    assert wheel.name.startswith(f"asyncdb_bench_attach-{asyncdb_bench_attach.__version__}-")
    run(sys.executable, "-m", "venv", tmp_path / "bare", cwd=tmp_path)
    python = tmp_path / "bare" / "bin" / "python"
    (packages,) = (tmp_path / "bare" / "lib").glob("python*/site-packages")
    tornado = distribution("tornado")
    for folder in {each.parts[0] for each in tornado.files or ()}:
        shutil.copytree(str(tornado.locate_file(folder)), packages / folder)
    # without --no-deps: another dependency than Tornado would not be found
    run(python, "-m", "pip", "install", "--no-index", wheel, cwd=tmp_path)
    said = run(python, "-I", "-c", APPLICATION, cwd=tmp_path)
    header, beats, loaded, same_finders = json.loads(said)
    assert header.startswith('handler;desc="')
    assert set(beats) == {"pid", "at_us", "lag_us", "every_us"}
    assert {each for each in loaded if each[0] != "_"} == {"asyncdb_bench_attach", "tornado"}
    assert same_finders


def test_both_distributions_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert (
        f"asyncdb-bench-attach=={asyncdb_bench_attach.__version__}"
        in (project["project"]["dependencies"])
    )
    assert project["tool"]["hatch"]["version"]["path"] == "asyncdb_bench_attach/__init__.py"
