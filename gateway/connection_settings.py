"""The settings of connections, which are those of `server` after the ones that `gateway.config` has itself."""

from typing import Annotated

from pydantic import Field

from gateway.sources.section import Seconds, Section


class ConnectionSettings(Section):
    """For how long connections may stay, and how many."""

    keepalive_time: Seconds = Field(
        60.0,
        description="Seconds without a word from a client after which it is asked whether it is there (a ping of "
        "HTTP/2). 0: never.",
    )
    keepalive_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        20.0, description="Seconds in which it must answer. Then its connection is closed and its calls are cancelled."
    )
    max_connection_age: Seconds = Field(
        0.0,
        description="Seconds after which a client is told to make a new connection, give or take a tenth. Has clients "
        "spread over gateways again behind a name or a balancer. 0: never.",
    )
    max_connection_age_grace: Seconds = Field(
        300.0,
        description="Seconds that calls and streams on such a connection still get. Then they end as UNAVAILABLE, and "
        "the connection is closed.",
    )
    max_connection_idle: Seconds = Field(
        0.0, description="Seconds without a call or a stream after which a connection is closed. 0: never."
    )
    max_connections: Annotated[int, Field(ge=1)] = Field(
        10_000,
        description="Connections of each gateway process at a time; fewer where workers need the open files that the "
        "process may have. Beyond it those without calls are closed for new ones, the longest idle first; if all have "
        "calls, new ones are refused. Through grpcio new ones are refused.",
    )
    channelz: bool = Field(
        False,
        description="Serve grpc.channelz.v1, which tells of this gateway's connections and the addresses of their "
        "clients. Where callers need keys, one with the scope `admin`.",
    )
