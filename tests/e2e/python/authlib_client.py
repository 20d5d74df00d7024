"""Authlib against doorward: reads its settings as JSON on stdin, prints one JSON line per test.

Settings: url, issuer, redirect_uri, person {username, password, email}, and one entry per client:
basic, post {client_id, client_secret}, public {client_id}, assertion {client_id, private_key (PEM)}.
"""

import json
import sys
import traceback
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

SETTINGS = json.load(sys.stdin)
SCOPE = "openid email profile offline_access"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Forms(HTMLParser):
    """The forms of a page: attributes, fields and button names."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append({"attrs": attrs, "fields": {}, "buttons": []})
        elif self.forms and tag == "input" and attrs.get("name"):
            if attrs.get("type") not in ("checkbox", "radio") or "checked" in attrs:
                self.forms[-1]["fields"][attrs["name"]] = attrs.get("value") or ""
        elif self.forms and tag == "button":
            self.forms[-1]["buttons"].append(attrs)


def walk(browser, url):
    """From the authorize URL through the sign-in page to the address that the client is called at."""
    origin = urlsplit(SETTINGS["url"]).netloc
    answer = browser.get(url, allow_redirects=False, timeout=30)
    for _ in range(12):
        if answer.is_redirect:
            target = urljoin(answer.url, answer.headers["location"])
            if urlsplit(target).netloc != origin:
                return target
            answer = browser.get(target, allow_redirects=False, timeout=30)
            continue
        forms = Forms(answer.text).forms
        sign_in = next((f for f in forms if "password" in f["fields"]), None)
        consent = next((f for f in forms if any(b.get("name") == "decision" for b in f["buttons"])), None)
        form = sign_in or consent
        if form is None:
            raise AssertionError(f"expected a sign-in or consent form, got: {answer.status_code} {answer.url}\n{answer.text[:1500]}")
        person = SETTINGS["person"]
        filled = {"username": person["username"], "password": person["password"]} if sign_in else {"decision": "allow"}
        fields = {**form["fields"], **filled}
        action = urljoin(answer.url, form["attrs"].get("action") or answer.url)
        answer = browser.post(action, data=fields, headers={"Origin": SETTINGS["url"]}, allow_redirects=False, timeout=30)
    raise AssertionError(f"the walk did not end, last at {answer.url}")




def session(kind, method="client_secret_basic"):
    client = SETTINGS[kind]
    return OAuth2Session(
        client["client_id"],
        client.get("client_secret"),
        scope=SCOPE,
        redirect_uri=SETTINGS["redirect_uri"],
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )


def sign_in(kind, oauth):
    """The code flow with PKCE and nonce; validates the ID token as Authlib does. Returns tokens and claims."""
    server = metadata_of(kind)
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = oauth.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    back = walk(requests.Session(), url)
    token = oauth.fetch_token(server["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
    keys = KeySet.import_key_set(requests.get(server["jwks_uri"], timeout=30).json())
    decoded = jwt.decode(token["id_token"], keys, algorithms=server["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"value": server["issuer"]}, "aud": {"value": SETTINGS[kind]["client_id"]}},
        {"nonce": nonce, "client_id": SETTINGS[kind]["client_id"], "access_token": token["access_token"]},
    )
    claims.validate(leeway=5)
    return token, claims


def metadata_of(kind):
    answer = requests.get(SETTINGS[kind]["issuer"] + ".well-known/openid-configuration", timeout=30)
    answer.raise_for_status()
    return answer.json()


def core(kind, oauth, introspects=True):
    server = metadata_of(kind)
    token, claims = sign_in(kind, oauth)
    expect(claims["email"], SETTINGS["person"]["email"], "email in the ID token")
    person = oauth.get(server["userinfo_endpoint"], timeout=30)
    expect(person.status_code, 200, f"userinfo: {person.text}")
    expect(person.json()["sub"], claims["sub"], "sub at userinfo")
    old = token["refresh_token"]
    renewed = oauth.refresh_token(server["token_endpoint"], refresh_token=old)
    if renewed["refresh_token"] == old:
        raise AssertionError("the refresh token did not rotate")
    if introspects:
        state = oauth.introspect_token(server["introspection_endpoint"], token=renewed["access_token"], token_type_hint="access_token")
        expect(state.json()["active"], True, f"introspection: {state.text}")
    gone = oauth.revoke_token(server["revocation_endpoint"], token=renewed["refresh_token"], token_type_hint="refresh_token")
    expect(gone.status_code, 200, f"revocation: {gone.text}")
    if introspects:
        state = oauth.introspect_token(server["introspection_endpoint"], token=renewed["access_token"])
        expect(state.json(), {"active": False}, "introspection of a revoked token")
    try:
        oauth.refresh_token(server["token_endpoint"], refresh_token=renewed["refresh_token"])
    except OAuthError as error:
        expect(error.error, "invalid_grant", "refresh of a revoked token")
    else:
        raise AssertionError("a revoked refresh token was accepted")


def expect(got, wanted, about):
    if got != wanted:
        raise AssertionError(f"{about}: expected {wanted!r}, got {got!r}")


@test
def client_secret_basic():
    core("basic", session("basic", "client_secret_basic"))


@test
def client_secret_post():
    core("post", session("post", "client_secret_post"))


@test
def public_client_with_pkce():
    core("public", session("public", "none"), introspects=False)


@test
def private_key_jwt():
    client = SETTINGS["assertion"]
    key = RSAKey.import_key(client["private_key"])
    oauth = OAuth2Session(
        client["client_id"],
        key,
        scope=SCOPE,
        redirect_uri=SETTINGS["redirect_uri"],
        code_challenge_method="S256",
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
    )
    oauth.register_client_auth_method(PrivateKeyJWT(metadata_of("assertion")["token_endpoint"], headers={"kid": client["kid"]}))
    core("assertion", oauth)


@test
def wrong_secret_is_invalid_client():
    client = SETTINGS["basic"]
    oauth = OAuth2Session(client["client_id"], "not-the-secret", token_endpoint_auth_method="client_secret_basic")
    try:
        oauth.fetch_token(metadata_of("basic")["token_endpoint"], grant_type="client_credentials")
    except OAuthError as error:
        expect(error.error, "invalid_client", "wrong secret")
    else:
        raise AssertionError("a wrong secret was accepted")


@test
def wrong_verifier_is_invalid_grant():
    oauth = session("basic")
    server = metadata_of("basic")
    url, state = oauth.create_authorization_url(server["authorization_endpoint"], code_verifier=generate_token(48))
    back = walk(requests.Session(), url)
    try:
        oauth.fetch_token(server["token_endpoint"], authorization_response=back, state=state, code_verifier=generate_token(48))
    except OAuthError as error:
        expect(error.error, "invalid_grant", "wrong verifier")
    else:
        raise AssertionError("a wrong verifier was accepted")


@test
def code_used_twice_is_invalid_grant_and_ends_the_first_tokens():
    oauth = session("basic")
    server = metadata_of("basic")
    verifier = generate_token(48)
    url, state = oauth.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier)
    back = walk(requests.Session(), url)
    first = dict(oauth.fetch_token(server["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier))
    try:
        oauth.fetch_token(server["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
    except OAuthError as error:
        expect(error.error, "invalid_grant", "second use of a code")
    else:
        raise AssertionError("a code was accepted twice")
    state = oauth.introspect_token(server["introspection_endpoint"], token=first["access_token"])
    expect(state.json(), {"active": False}, "tokens of a code used twice")


@test
def client_credentials():
    client = SETTINGS["machine"]
    oauth = OAuth2Session(client["client_id"], client["client_secret"], token_endpoint_auth_method="client_secret_basic")
    token = oauth.fetch_token(metadata_of("machine")["token_endpoint"], grant_type="client_credentials")
    if "access_token" not in token or "refresh_token" in token:
        raise AssertionError(f"got: {sorted(token)}")


for function in TESTS:
    outcome = {"name": function.__name__.replace("_", " ")}
    try:
        function()
        outcome["ok"] = True
    except Exception as error:  # every failure is a result to report
        outcome["ok"] = False
        outcome["reason"] = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exc().splitlines(True)[-8:])
    print(json.dumps(outcome), flush=True)
