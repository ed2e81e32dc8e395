"""Where nothing is sent to: addresses that only somebody inside could reach, unless their network was named.

A name is looked up once, every address that it has must be allowed, and the connection is made to the address that was
looked at: a name that resolves to something else a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from tieout.errors import ConfigError

Network: TypeAlias = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The receiver lies where nothing may be sent to."""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks as they are written in settings; raise `ConfigError`."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(f"networks: {error}") from error


def is_allowed(text: str, networks: Sequence[Network]) -> bool:
    """Whether something may be sent to this IP address: a public one, or one of these networks."""
    address = _innermost(ip_address(text.partition("%")[0]))
    if any(address in network for network in networks if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast


async def addresses_of(host: str, port: int, networks: Sequence[Network]) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host, all of them allowed; raise `AddressRefused`, or `OSError` when there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses: list[tuple[socket.AddressFamily, str]] = []
    addresses += dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found)
    refused = [address for _, address in addresses if not is_allowed(address, networks)]
    if refused:
        raise AddressRefused(f"{host} is {refused[0]}, which is not public: name its network in `networks`")
    return addresses


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
