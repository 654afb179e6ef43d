"""By what callers are known: the files that the settings name, and what it takes to read them."""

from gateway.auth.credentials import TokensUnusable, mappings_in, tokens_of
from gateway.auth.watched import Unusable
from gateway.auth_settings import AuthSettings
from gateway.doctor.finding import Finding, failed, ok, skipped, warning


def client_certificates(settings: AuthSettings) -> Finding:
    """Whether the identities in certificates can be looked up."""
    check = "client certificates"
    if settings.certificates_file is None:
        return skipped(check, "no auth.certificates_file")
    try:
        count = len(mappings_in(settings.certificates_file).value)
    except Unusable as error:
        do = "Correct it; until then a gateway does not start, and one that runs knows nobody by a certificate."
        return failed(check, str(error), do)
    if not count:
        do = 'Add a [[certificate]] with an identity, such as "dns:*.example.org", and scopes.'
        return warning(check, f"{settings.certificates_file} maps nobody", do)
    return ok(check, f"{settings.certificates_file}, mappings: {count}")


def tokens(settings: AuthSettings) -> Finding:
    """Whether tokens of the issuer can be verified."""
    check = "tokens"
    if not settings.jwt_issuer:
        return skipped(check, "no auth.jwt_issuer")
    try:
        count = tokens_of(settings).keys
    except TokensUnusable as error:
        what, _, do = str(error).rpartition(": ")
        return failed(check, what, f"Install it: {do}")
    except Unusable as error:
        do = "Put the issuer's public keys there; a running gateway goes on with those from before."
        return failed(check, str(error), do)
    return ok(check, f"of {settings.jwt_issuer}, its keys: {count}")
