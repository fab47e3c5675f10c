"""Which hosts a URI of a stranger may make this machine talk to.

A name is looked up here, and the address that was checked is the one that is connected to: a name can't point
elsewhere a moment later. Hosts that the operator trusts may be private and speak plain http.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from fnmatch import fnmatch
from ipaddress import IPv6Address, ip_address
from typing import Any

import httpcore

from modelserve.sources.base import Broken, Refused

SETTING = "MODELSERVE_TRUSTED_HOSTS"


class Policy:
    """The operator's list: ``host``, ``host:port`` or ``*.domain``."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = tuple(entry.lower() for entry in trusted)

    def trusts(self, host: str, port: int) -> bool:
        host = host.lower().strip("[]")
        return any(fnmatch(host, entry) or fnmatch(f"{host}:{port}", entry) for entry in self._trusted)

    def with_host(self, host: str, port: int) -> Policy:
        """The same, and one host more."""
        return Policy((*self._trusted, f"{host.strip('[]')}:{port}"))

    def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to. Raises Refused for a host that leads into a private network."""
        found = _look_up(host, port)
        inside = next((address for address in found if not is_public(address)), None)
        if inside is not None and not self.trusts(host, port):
            raise Refused(
                f"{host} leads to {inside}, which is no public address; an operator may allow the host with "
                f"{SETTING}"
            )
        return found


def is_public(address: str) -> bool:
    """Whether the whole internet may know it; an IPv4 address inside of an IPv6 one counts as itself."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or _translated(ip)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def _translated(ip: IPv6Address) -> Any:
    """The IPv4 address behind a NAT64 address (RFC 6052)."""
    if ip.packed[:12] != bytes.fromhex("0064ff9b0000000000000000"):
        return None
    return ip_address(ip.packed[12:])


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Broken(f"{host} can't be looked up ({error})") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedNetwork(httpcore.SyncBackend):
    """Connects to addresses that were checked, and to no other."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:
        last: Exception | None = None
        for address in self._policy.addresses(host, port):
            try:
                return super().connect_tcp(address, port, *args, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError("no address")
