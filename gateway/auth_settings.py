"""The settings that say how callers are known, beside API keys."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from gateway.sources.checking import Contradiction
from gateway.sources.section import Section
from gateway.sources.words import shown

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With which tokens may be signed (RFC 7518, RFC 8037): all are signatures, none is a shared secret."""

_TOGETHER = ("jwt_issuer", "jwt_audience", "jwt_jwks_file")


class AuthSettings(Section):
    """Who callers are, beside those with API keys. Each way that is given is asked for always."""

    certificates_file: Path | None = Field(
        None,
        description="TOML file that maps the identities in client certificates to principals with scopes. Without it a "
        "certificate of `server.client_ca` says who may connect, not who calls. Read again when it changes.",
    )
    jwt_issuer: str = Field(
        "",
        description="The `iss` of JSON Web Tokens that callers may send in place of an API key. Needs `jwt_audience`, "
        "`jwt_jwks_file` and the extra `jwt`.",
    )
    jwt_audience: str = Field("", description="What their `aud` must be, or have among others: this gateway.")
    jwt_jwks_file: Path | None = Field(
        None,
        description="File with the issuer's public keys, a JSON Web Key Set. Read again when it changes.",
    )
    jwt_algorithms: str = Field(
        "RS256, PS256, ES256, EdDSA",
        description=f"With which they may be signed, of {', '.join(ALGORITHMS)}; with commas.",
    )
    jwt_scope_claim: str = Field(
        "",
        description="The claim that has their scopes, in one text with spaces or an array. Empty: `scope`, or without "
        "that `scp`.",
    )
    jwt_scope_prefix: str = Field(
        "", description="What stands there before `read`, `execute` and `admin`, such as `session-gateway/`."
    )

    @field_validator("jwt_issuer")
    @classmethod
    def _no_space(cls, value: str) -> str:
        if not value.isprintable() or " " in value:
            raise ValueError("must be what `iss` says, without spaces, such as https://login.example.org/")
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _known(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        if wrong := [name for name in names if name not in ALGORITHMS]:
            raise ValueError(f"must be some of {', '.join(ALGORITHMS)}, not {shown(wrong[0])}")
        return ", ".join(names)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [name for name in _TOGETHER if getattr(self, name)]
        missing = [name for name in _TOGETHER if name not in given]
        if given and missing:
            raise Contradiction(f"{given[0]} is given without {' and '.join(missing)}", f"auth.{given[0]}")
        return self

    @property
    def algorithms(self) -> list[str]:
        """The algorithms by name."""
        return self.jwt_algorithms.split(", ")

    @property
    def given(self) -> str:
        """The name of a setting by which callers are known; empty when there is none."""
        return "certificates_file" if self.certificates_file is not None else "jwt_issuer" if self.jwt_issuer else ""
