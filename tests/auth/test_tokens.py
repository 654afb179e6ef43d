"""Which JSON Web Tokens are good, and whom they are for."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.auth import jwks
from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.keys import Scope
from gateway.auth.tokens import LONGEST, IssuedTokens, Verifier
from gateway.auth.watched import Unusable
from gateway.auth_settings import ALGORITHMS, AuthSettings
from gateway.doctor.callers import tokens as doctored
from gateway.doctor.finding import Status
from gateway.timing import JWT_LEEWAY
from tests.auth.showing import AUDIENCE, ISSUER, RSA, Issuer
from tests.tls.authority import replace

NOW = time.time()
VERIFIER = Verifier(ISSUER, AUDIENCE)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def found(issuer: Issuer, token: str, now: float = NOW, verifier: Verifier = VERIFIER) -> Holder:
    return verifier.find(token, jwks.parsed(issuer.jwks(), ALGORITHMS), now)


def reason(issuer: Issuer, token: str, now: float = NOW, verifier: Verifier = VERIFIER) -> Reason:
    with pytest.raises(NotLetIn) as caught:
        found(issuer, token, now, verifier)
    assert token[-20:] not in str(caught.value)
    return caught.value.reason


def parts(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return ".".join(_encoded(part) for part in (json.dumps(header).encode(), json.dumps(claims).encode(), signature))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_token_is_for_its_issuer_and_subject_until_it_expires(issuer: Issuer) -> None:
    token = issuer.token("ann@example.org", exp=NOW + 60)
    assert found(issuer, token) == Holder(
        "jwt:https://login.example.org/ ann@example.org", (Scope.EXECUTE,), NOW + 60 + JWT_LEEWAY
    )


def test_no_two_issuers_and_subjects_are_the_same_principal() -> None:
    one, two = Issuer("https://a"), Issuer("https://a/b")
    principals = {
        found(issuer, issuer.token(subject), verifier=Verifier(issuer.name, AUDIENCE)).principal
        for issuer in (one, two)
        for subject in ("b", "/b", "/b c", "b c", " b")
    }
    assert len(principals) == 10


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA"])
def test_every_kind_of_key_verifies(issuer: Issuer, algorithm: str) -> None:
    issuer.add("other", algorithm)
    assert found(issuer, issuer.token(key="other")).scopes == (Scope.EXECUTE,)
    assert found(issuer, issuer.token(key="one")).scopes == (Scope.EXECUTE,)


def test_it_is_good_from_its_beginning_to_its_end_and_a_little_around(issuer: Issuer) -> None:
    token = issuer.token(exp=NOW + 60, nbf=NOW)
    for good in (NOW - JWT_LEEWAY + 0.1, NOW + 60 + JWT_LEEWAY - 0.1):
        assert found(issuer, token, good).principal
    for over in (NOW - JWT_LEEWAY - 0.1, NOW + 60 + JWT_LEEWAY):
        assert reason(issuer, token, over) is Reason.EXPIRED


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.org/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": {"session-gateway": 1}},
        {"subject": ""},
        {"subject": None},
        {"subject": 7},
        {"subject": "a\nb"},
        {"subject": "a" * 256},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e400},
        {"exp": 10**400},
        {"exp": -1},
        {"nbf": "yesterday"},
    ],
    ids=str,
)
def test_a_token_that_says_something_else_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert reason(issuer, issuer.token(**claims)) is Reason.WRONG_CLAIMS


def test_one_of_several_audiences_will_do(issuer: Issuer) -> None:
    assert found(issuer, issuer.token(aud=["billing", AUDIENCE])).principal


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "read admin"}, (Scope.READ, Scope.ADMIN)),
        ({"scope": None, "scp": ["read", "execute"]}, (Scope.READ, Scope.EXECUTE)),
        ({"scope": "read", "scp": "admin"}, (Scope.READ,)),
        ({"scope": "Read reading openid"}, ()),
        ({"scope": None}, ()),
        ({"scope": 7}, ()),
        ({"scope": [["read"], None, "admin"]}, (Scope.ADMIN,)),
    ],
)
def test_its_scopes_are_those_that_this_gateway_knows(
    issuer: Issuer, claims: dict[str, Any], scopes: tuple[Scope, ...]
) -> None:
    assert found(issuer, issuer.token(**claims)).scopes == scopes


def test_scopes_may_have_a_claim_and_a_prefix_of_their_own(issuer: Issuer) -> None:
    verifier = Verifier(ISSUER, AUDIENCE, "roles", "sgw:")
    token = issuer.token(roles=["sgw:read", "admin"], scope="execute")
    assert found(issuer, token, verifier=verifier).scopes == (Scope.READ,)


CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 3600}


def test_a_token_that_nobody_has_signed_is_refused(issuer: Issuer) -> None:
    algorithms: list[Any] = ["none", "None", "NONE", "", None, 7, ["RS256"], {}]
    for algorithm in algorithms:
        for header in ({"alg": algorithm}, {"alg": algorithm, "kid": "one"}):
            assert reason(issuer, parts(header, CLAIMS)) is Reason.BAD_TOKEN


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret_to_sign_with(issuer: Issuer, algorithm: str) -> None:
    signed, _, _ = parts({"alg": algorithm, "kid": "one"}, CLAIMS).rpartition(".")
    digest = hmac.new(issuer.pem("one"), signed.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    assert reason(issuer, f"{signed}.{_encoded(digest)}") is Reason.BAD_TOKEN


def test_a_key_is_good_for_its_own_algorithm_alone(issuer: Issuer) -> None:
    issuer.keys["one"] = ("RS512", RSA)
    token = issuer.token()
    issuer.keys["one"] = ("RS256", RSA)
    assert reason(issuer, token) is Reason.BAD_TOKEN


def test_only_algorithms_that_are_configured_are_taken(issuer: Issuer) -> None:
    issuer.add("ec")
    keys = jwks.parsed(issuer.jwks(), ["ES256"])
    assert [key.id for key in keys] == ["ec"]
    with pytest.raises(NotLetIn):
        VERIFIER.find(issuer.token(key="one"), keys, NOW)


def test_a_signature_of_somebody_else_is_refused(issuer: Issuer) -> None:
    issuer.add("one")
    theirs = Issuer()
    theirs.add("one")
    assert reason(issuer, theirs.token()) is Reason.BAD_SIGNATURE
    head, claims, signature = issuer.token().split(".")
    changed = _encoded(json.dumps(CLAIMS | {"sub": "root"}).encode())
    assert reason(issuer, f"{head}.{changed}.{signature}") is Reason.BAD_SIGNATURE
    assert reason(issuer, f"{head}.{claims}.") is Reason.BAD_SIGNATURE


def test_the_key_in_the_header_of_a_token_is_not_asked(issuer: Issuer) -> None:
    theirs = Issuer()
    theirs.add("one")
    token = theirs.token(header={"jwk": theirs.jwk("one"), "jku": "https://theirs.example.org", "x5c": ["AAAA"]})
    assert reason(issuer, token) is Reason.BAD_TOKEN  # ES256, which is not its key's
    issuer.add("one")
    assert reason(issuer, token) is Reason.BAD_SIGNATURE


def test_a_token_without_the_id_of_its_key_is_for_the_only_one(issuer: Issuer) -> None:
    token = jwt.encode(CLAIMS | {"scope": "read"}, RSA, "RS256")
    assert found(issuer, token).scopes == (Scope.READ,)
    issuer.add("two")
    assert reason(issuer, token) is Reason.BAD_TOKEN


def test_of_keys_with_one_id_each_is_tried(issuer: Issuer) -> None:
    first, second = Issuer(), Issuer()
    first.add("one")
    second.add("one")
    both = json.dumps({"keys": [first.jwk("one"), second.jwk("one")]}).encode()
    keys = jwks.parsed(both, ALGORITHMS)
    for each in (first, second):
        assert VERIFIER.find(each.token(key="one"), keys, NOW).principal


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"kid": "two"}])
def test_what_is_not_understood_of_a_header_is_refused(issuer: Issuer, header: dict[str, Any]) -> None:
    assert reason(issuer, issuer.token(header=header)) is Reason.BAD_TOKEN


@pytest.mark.parametrize(
    "token", ["a.b.c", "..", "é.é.é", "e30.e30.e30", "W10.W10.", "A" * LONGEST + ".a.a", "[" * 3000 + ".a.a"]
)
def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    assert reason(issuer, token) is Reason.BAD_TOKEN


def test_a_token_that_is_too_long_is_not_even_read(issuer: Issuer) -> None:
    assert reason(issuer, issuer.token(more="a" * LONGEST)) is Reason.BAD_TOKEN


def test_claims_that_are_no_object_are_refused(issuer: Issuer) -> None:
    for claims in (b"[]", b"7", b"null", b"{", b"\xff", b"[" * 5000):
        token = jwt.api_jws.encode(claims, RSA, "RS256", headers={"kid": "one"})
        assert reason(issuer, token) is Reason.BAD_TOKEN


def test_of_a_key_only_what_is_public_is_taken(issuer: Issuer) -> None:
    issuer.add("ec")
    for id_ in issuer.keys:
        (key,) = jwks.parsed(json.dumps({"keys": [issuer.private_jwk(id_)]}).encode(), ALGORITHMS)
        assert not hasattr(key.key, "sign")


WEAK = Issuer(keys={"weak": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024))})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no array `keys`"),
        (b'{"keys": {}}', "no array `keys`"),
        (b'{"keys": [7]}', "key 1: no object"),
        (b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}', "RSA, EC and OKP"),
        (b'{"keys": [{"kty": "EC", "crv": "secp256k1"}]}', "it has none"),
        (b'{"keys": [{"kty": "RSA"}]}', "damaged"),
        (b'{"keys": [{"kty": "RSA", "n": "AQAB", "e": 7}]}', "damaged"),
        (b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}', "damaged"),
        (b'{"keys": [{"kty": "RSA", "use": "enc"}]}', "not for signatures"),
        (b'{"keys": [{"kty": "RSA", "alg": "RSA-OAEP"}]}', "not among those"),
        (WEAK.jwks(), "less than 2048 bits"),
        (Issuer().jwks(kid=7), "`kid` is no text"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_without_a_key_that_can_be_used_is_told(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        jwks.parsed(content, ALGORITHMS)


def test_a_key_that_cannot_be_used_takes_nothing_from_the_others(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}, issuer.jwk("one")]}).encode()
    (key,) = jwks.parsed(content, ALGORITHMS)
    assert key.id == "one"
    assert "key 1: only keys of the types RSA, EC and OKP" in caplog.text
    assert "c2VjcmV0" not in caplog.text


def settings(path: Path) -> AuthSettings:
    return AuthSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_file=path)


async def test_a_key_that_is_taken_out_of_the_file_is_good_no_more(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "jwks.json"
    issuer.add("two")
    issuer.write(path)
    tokens = IssuedTokens(settings(path))
    one, two = issuer.token(key="one"), issuer.token(key="two")
    assert tokens.keys == 2
    assert not await tokens.refresh()
    del issuer.keys["one"]
    issuer.write(path)
    assert await tokens.refresh()
    assert tokens.find(two, NOW).principal
    with pytest.raises(NotLetIn):
        tokens.find(one, NOW)


async def test_an_issuer_that_withdraws_all_its_keys_lets_nobody_in(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "jwks.json"
    issuer.write(path)
    tokens, token = IssuedTokens(settings(path)), issuer.token()
    replace(path, b'{"keys": []}')
    assert await tokens.refresh()
    assert tokens.keys == 0
    with pytest.raises(NotLetIn):
        tokens.find(token, NOW)
    assert "no token lets anybody in" in caplog.text


@pytest.mark.parametrize("gone", [True, False])
async def test_while_the_file_cannot_be_used_the_keys_from_before_are_good_and_it_is_logged_once(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    path = tmp_path / "jwks.json"
    issuer.write(path)
    tokens, token = IssuedTokens(settings(path)), issuer.token()
    good = path.read_bytes()
    path.unlink() if gone else replace(path, good[:-9])
    for _ in range(5):
        assert not await tokens.refresh()
    assert tokens.find(token, NOW).principal
    assert len([record for record in caplog.records if str(path) in record.getMessage()]) == 1
    replace(path, good)
    assert await tokens.refresh()
    assert tokens.find(token, NOW).principal


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        IssuedTokens(settings(tmp_path / "jwks.json"))


def test_a_file_that_others_can_write_to_is_not_used(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "jwks.json"
    issuer.write(path)
    path.chmod(0o666)
    with pytest.raises(Unusable, match="others can write to it"):
        IssuedTokens(settings(path))


def test_the_doctor_reads_the_file_as_a_gateway_does(tmp_path: Path, issuer: Issuer) -> None:
    path = tmp_path / "jwks.json"
    assert doctored(AuthSettings()).status is Status.SKIPPED
    assert doctored(settings(path)).status is Status.FAILED
    issuer.write(path)
    found = doctored(settings(path))
    assert (found.status, found.message) == (Status.OK, f"of {ISSUER}, its keys: 1")


def test_without_the_library_a_gateway_and_the_doctor_say_what_to_install(tmp_path: Path) -> None:
    # In a process of its own, in which there is none.
    code = f"""
import sys
sys.modules["jwt"] = None
from pathlib import Path
from gateway.auth.credentials import TokensUnusable, tokens_of
from gateway.auth_settings import AuthSettings
from gateway.doctor.callers import tokens
settings = AuthSettings(jwt_issuer="i", jwt_audience="a", jwt_jwks_file=Path({str(tmp_path / "jwks.json")!r}))
try:
    tokens_of(settings)
except TokensUnusable as error:
    print(error)
print(tokens(settings).do)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    told, do = done.stdout.splitlines()
    assert "auth.jwt_issuer is set, and PyJWT with cryptography is not installed" in told
    assert 'pip install "session-gateway[jwt]"' in told
    assert do == 'Install it: pip install "session-gateway[jwt]"'


def test_a_gateway_without_an_issuer_does_not_load_the_library(tmp_path: Path) -> None:
    code = "import sys; import gateway.main; sys.exit('jwt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
