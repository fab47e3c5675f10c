import socket

import pytest

from modelserve._kit.ports import free_port
from modelserve._kit.waiting import wait_until


async def test_it_returns_when_a_plain_or_awaited_condition_comes_true():
    countdown = iter([0, "", None, "yes"])

    async def ask():
        return next(countdown)

    await wait_until(ask, 10, "the countdown ends", interval=0.001)
    await wait_until(lambda: True, 0, "what is true already")


async def test_it_says_what_it_waited_for():
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s in vain: pigs fly"):
        await wait_until(lambda: False, 0.01, "pigs fly", interval=0.001)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_can_be_bound(host):
    try:
        port = free_port(host)
    except OSError:
        assert host == "::1", "IPv4 loopback is everywhere"
        return

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, port))
