"""The program that runs an engine; a model server starts ``python -m modelserve.runtimes.isolated.host``.

It lives as long as the server: the kernel kills it with the thread that started it, and a closed socket ends
it. Signals that are meant for the server (Ctrl-C, a service manager's SIGTERM to all) do not end it: the
server still answers while it drains.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from modelserve._kit.processes import end_with
from modelserve._kit.quiet import silence
from modelserve.runtimes.base import Model, why_turns
from modelserve.runtimes.choosing import runtime_for
from modelserve.runtimes.isolated.channel import Channel
from modelserve.runtimes.isolated.desk import Desk
from modelserve.runtimes.isolated.faults import describe_fault
from modelserve.runtimes.isolated.hosting import read_device, read_graphs, read_package


def main(arguments: Sequence[str] | None = None) -> int:
    """Load what the server says, then answer it until it goes away."""
    silence()
    parser = argparse.ArgumentParser(prog="python -m modelserve.runtimes.isolated.host")
    parser.add_argument("--parent", type=int, required=True, help="process id of the model server")
    parser.add_argument("--lanes", required=True, help="descriptors of its sockets, with commas between")
    told = parser.parse_args(arguments)
    _live_no_longer_than(told.parent)
    channels = [Channel(socket.socket(fileno=int(number))) for number in told.lanes.split(",")]
    with contextlib.suppress(EOFError):
        if model := _load(channels[0]):
            _answer(model, channels)
            model.close()
    _flush()
    os._exit(0)  # a thread of the model's own would keep the process alive


def _live_no_longer_than(parent: int) -> None:
    end_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _load(channel: Channel) -> Model | None:
    told = channel.receive().head
    sys.dont_write_bytecode = True  # a package's files are what its digest says
    try:
        package = read_package(told)
        model = runtime_for(package.runtime, read_device(told), read_graphs(told)).load(package)
    except Exception as error:
        _flush()
        channel.send({"fault": describe_fault(error)})
        return None
    streams, whole = getattr(model, "streams", False), getattr(model, "whole", True)
    channel.send({"streams": streams, "whole": whole, "turns": why_turns(model)})
    return model


def _answer(model: Model, channels: Sequence[Channel]) -> None:
    """The first lane has the main thread, where some libraries insist to be."""
    for channel in channels[1:]:
        threading.Thread(target=_one_lane, args=(model, channel), daemon=True).start()
    _one_lane(model, channels[0])


def _one_lane(model: Model, channel: Channel) -> None:
    with contextlib.suppress(EOFError):
        Desk(model, channel).serve()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


if __name__ == "__main__":
    sys.exit(main())
