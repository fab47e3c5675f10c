"""A model server in miniature, for the launcher's tests: announces itself, is healthy, or misbehaves as told.

How it behaves is read from ``behaviour.json`` in the package folder of its settings.
"""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path


def main() -> int:
    settings = json.loads(Path(sys.argv[sys.argv.index("--settings") + 1]).read_text())
    package = Path(settings["package"])
    behaviour = json.loads((package / "behaviour.json").read_text())
    announce = Path(settings["announce"])
    print("hello from", settings["revision"], flush=True)
    (package / "environment.json").write_text(json.dumps(dict(os.environ)))
    if behaviour.get("unfit"):
        tell(announce, {"error": "weights.onnx is no ONNX file"})
        return 3
    if behaviour.get("crash"):
        print("RuntimeError: no luck today", file=sys.stderr, flush=True)
        return 1
    if behaviour.get("child"):
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
        (package / "child.pid").write_text(str(child.pid))
    return serve(announce, package, behaviour)


def serve(announce: Path, package: Path, behaviour: dict) -> int:
    asked = threading.Event()

    def on_signal(*_: object) -> None:
        with (package / "signals").open("a") as file:
            file.write("SIGTERM\n")
        asked.set()

    signal.signal(signal.SIGTERM, on_signal)

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = behaviour.get("ready", True) and self.path == "/v2/health/ready"
            self.send_response(200 if ready else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell(announce, {"pid": os.getpid(), "port": server.server_address[1], "epoch": uuid.uuid4().hex})
    while not asked.wait(0.05):
        pass
    time.sleep(behaviour.get("drain", 0))
    with contextlib.suppress(OSError):
        (package / "finished").touch()
    return 0


def tell(announce: Path, content: dict) -> None:
    temporary = announce.with_suffix(".tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(announce)


if __name__ == "__main__":
    sys.exit(main())
