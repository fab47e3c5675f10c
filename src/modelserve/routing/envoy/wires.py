"""The two ways to speak to a model server: HTTP/1.1 on one of its ports, gRPC over HTTP/2 on the other.

Each has clusters of its own. Evidence knows no difference: a host says which of a revision's clusters it
stands for, whatever is spoken to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelserve.domain.routes import Endpoint
from modelserve.routing.envoy.vocabulary import TYPES, Json

READY_PATH = "/v2/health/ready"


@dataclass(frozen=True, slots=True)
class Wire:
    suffix: str
    """What its clusters and routes have at the end of their names."""
    http: Json
    """Versions of HTTP and their options."""
    idle: str
    """How long an idle connection is kept."""
    check: Json
    """How a server is asked whether it is ready."""

    def port(self, endpoint: Endpoint) -> int:
        """0 where the endpoint does not speak it."""
        return endpoint.grpc_port if self is GRPC else endpoint.port

    @property
    def options(self) -> Json:
        """What each of its clusters has under ``typed_extension_protocol_options``."""
        kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        return {
            kind: {
                "@type": f"{TYPES}.{kind.removeprefix('envoy.')}",
                "common_http_protocol_options": {"idle_timeout": self.idle},
                "explicit_http_config": self.http,
            }
        }


HTTP = Wire(
    suffix="",
    http={"http_protocol_options": {}},
    idle="4s",  # closed before a server's usual 5 s of keep-alive are over
    check={"http_health_check": {"path": READY_PATH, "host": "modelserve"}},
)
GRPC = Wire(
    suffix="-grpc",
    http={"http2_protocol_options": {}},
    idle="300s",
    check={"grpc_health_check": {}},
)
