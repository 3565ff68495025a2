#!/bin/sh
# Python 3.11.7, http.cookiejar (and so requests and Locust): localhost cannot set a cookie for Domain=localhost.
#
# Guess beforehand: a cookie whose Domain is the very host that sets it is kept and sent back (RFC 6265, 5.3, step 6);
# 127.0.0.1 for Domain=127.0.0.1 is, too.
# Seen: from localhost it is dropped without a word, since the domain has no dot in it; without Domain it is kept.
#
# Needs no service. Fails if what is seen changes.
set -eu
python3 - <<'PYTHON'
from email.message import Message
from http.cookiejar import CookieJar
from types import SimpleNamespace
from urllib.request import Request


def sent_back(host, cookie):
    jar, headers, asked = CookieJar(), Message(), Request(f"http://{host}:8000/me")
    headers["Set-Cookie"] = cookie
    jar.extract_cookies(SimpleNamespace(info=lambda: headers), Request(f"http://{host}:8000/in"))
    jar.add_cookie_header(asked)
    return asked.get_header("Cookie")


seen = {
    (host, cookie): sent_back(host, cookie)
    for host in ("localhost", "127.0.0.1")
    for cookie in ("a=1; Path=/", f"a=1; Path=/; Domain={host}")
}
for (host, cookie), came in seen.items():
    print(f"{host} sets {cookie!r}: sends {came!r}")
raise SystemExit(0 if list(seen.values()) == ["a=1", None, "a=1", "a=1"] else 1)
PYTHON
