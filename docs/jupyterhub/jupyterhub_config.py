"""JupyterHub as it comes, on PostgreSQL: its API alone, without the proxy that stands before it."""

from __future__ import annotations

import os
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """The hub is asked itself."""

    should_start = False

    async def get_all_routes(self) -> dict[str, Any]:
        """Know of none."""
        return {}

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        """Add none."""

    async def delete_route(self, routespec: str) -> None:
        """Remove none."""

    async def check_routes(self, *_: Any, **__: Any) -> None:
        """See that none is missing."""


c = get_config()  # noqa: F821 - JupyterHub gives it
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.db_url = os.environ["HUB_DB"].replace("postgresql://", "postgresql+psycopg://")
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
c.JupyterHub.bind_url = "http://127.0.0.1:1/"
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.log_level = "WARN"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.services = [{"name": "load", "api_token": "0123456789abcdef0123456789abcdef"}]
c.JupyterHub.load_roles = [
    {"name": "load", "services": ["load"], "scopes": ["admin:users", "admin:groups"]}
]
c.JupyterHub.load_groups = {
    f"group-{n}": {"users": [f"user-{n}-{k}" for k in range(5)]} for n in range(20)
}

if os.environ.get("ATTACH"):
    from asyncdb_bench_attach import attach, trace

    made = JupyterHub.init_tornado_application

    def attached(hub: Any) -> None:
        """Look into the application that the hub has made."""
        made(hub)
        engine = hub.db.get_bind()
        attach(hub.tornado_application, engine)
        if folder := os.environ.get("TRACE"):
            trace(engine, folder)

    JupyterHub.init_tornado_application = attached
