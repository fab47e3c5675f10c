"""An address counts as public or private whatever it is wrapped in."""

import pytest

from modelserve.sources.addresses import Policy, is_public


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_that_everybody_may_reach(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "fd00:ec2::254",
    ],
)  # fmt: skip
def test_that_only_some_may_reach(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    ("entry", "host", "port", "trusted"),
    [
        ("models.corp", "models.corp", 443, True),
        ("models.corp", "MODELS.corp", 80, True),
        ("models.corp:8443", "models.corp", 8443, True),
        ("models.corp:8443", "models.corp", 443, False),
        ("*.corp", "a.b.corp", 443, True),
        ("*.corp", "corp", 443, False),
        ("*.corp", "corp.evil.example", 443, False),
    ],
)
def test_is_trusted_by_name_or_port_or_domain(entry, host, port, trusted):
    assert Policy((entry,)).trusts(host, port) is trusted
