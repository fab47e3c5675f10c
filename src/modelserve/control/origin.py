"""Whether a browser sends a request for a page that is not ours.

A page anywhere on the web can make a browser send requests to this machine. Two things give it away: its
``Origin`` (or ``Sec-Fetch-Site``) names another site, or it came by a name of its own that was made to point
here ("DNS rebinding"), which then stands in ``Host``.

What is asked of the whole front door by an inference protocol changes nothing and tells no more than each
model does, which anybody may ask by any name. So these routes are open to any name too, as health is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

SAFE = ("GET", "HEAD", "OPTIONS")
_INFERENCE = re.compile(r"/|/v[12](/.*)?")


def of_inference(path: str) -> bool:
    """Whether the path belongs to an inference protocol and not to the control API."""
    return _INFERENCE.fullmatch(path) is not None


def open_to_any_name(path: str) -> bool:
    """Whether it does not matter by which name, or for which page, the path is asked for."""
    return path == "/healthz" or of_inference(path)


def foreign(method: str, headers: Mapping[str, str], hostnames: Sequence[str] = ()) -> str:
    """Why the control API refuses a request; empty if it does not. ``hostnames`` are this machine's, too."""
    host = headers.get("host", "")
    if not _is_this_machine(host, hostnames):
        return f"Host: got {host[:80]!r}: call this by an IP address or localhost"
    if method in SAFE:
        return ""
    origin = headers.get("origin")
    if origin is not None and not _is_of(origin, host):
        return f"Origin: got {origin[:80]!r}: a page of another site may not change anything here"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Sec-Fetch-Site: a page of another site may not change anything here"
    return ""


def _is_of(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _is_this_machine(host: str, hostnames: Sequence[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name in hostnames or bool(ip_address(name))
    except ValueError:
        return False
