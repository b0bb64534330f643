"""Keys by the documents' literal requests (rows W2, W3, W28, W29, A5, E2, E3, S47, D1, D2), and what they may."""

import re
from typing import Any

import pytest
from offices import Office

from gateway.accounts.keys import is_well_formed

pytestmark = pytest.mark.asyncio(loop_scope="module")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
A5 = {"name": "production_api_key", "expires_at": "2027-12-31T23:59:59Z"}


@pytest.mark.row("W2", "W3", "W28")
async def test_a_key_is_made_and_calls(ann: Office) -> None:
    """Every field of the document; the key is shown once, works at once, and is not shown again."""
    path, _ = await ann.project()
    answer = await ann.ask("POST", f"{path}/keys", {"name": "Staging Key"})
    body = answer.json()
    assert (answer.status_code, body["name"], answer.headers["cache-control"]) == (200, "Staging Key", "no-store")
    assert body["id"].startswith("key_")
    assert body["key"].startswith("lgw_proj_")
    assert MOMENT.fullmatch(body["created_at"])
    assert (await ann.chat(body["key"])).status_code == 200
    for place in (path, f"{path}/keys"):
        assert body["key"] not in (await ann.ask("GET", place)).text


@pytest.mark.row("W29")
async def test_a_revoked_key_stops(ann: Office) -> None:
    """The document's answer; the next call is refused, and a second revocation finds nothing."""
    path, _ = await ann.project()
    made = await ann.give("POST", f"{path}/keys", {"name": "Staging Key"})
    answer = await ann.ask("DELETE", f"{path}/keys/{made['id']}")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message": "API key revoked"})
    assert (await ann.chat(made["key"])).status_code == 401
    assert await ann.status("DELETE", f"{path}/keys/{made['id']}") == 404


@pytest.mark.row("A5")
async def test_an_account_key_as_a_says(ann: Office) -> None:
    """201, every field of the document; a person's, so no key makes one."""
    answer = await ann.ask("POST", "/api/v1/auth/apikey", A5)
    body = answer.json()
    assert MOMENT.fullmatch(body.pop("created_at"))
    key = body.pop("api_key")
    assert (answer.status_code, key[:8], is_well_formed(key)) == (201, "ak_live_", True)
    assert body == {
        "message": "Save this API key securely. It will not be shown again.",
        "expires_at": "2027-12-31T23:59:59Z",
    }
    refused = await ann.ask("POST", "/api/v1/auth/apikey", A5, bearer=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    unknown = await ann.ask("POST", "/api/v1/auth/apikey", A5, bearer="")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "AUTH_REQUIRED")


async def test_what_a_body_does_not_have_is_refused(ann: Office) -> None:
    """A field that nobody reads, and a text where a number belongs; a field's name is told as it is written."""
    path, _ = await ann.project()
    key = await ann.give("POST", f"{path}/keys", {"name": "a"})
    for verb, where, body, told in (
        ("POST", "/api/v1/auth/apikey", {**A5, "scopes": ["proxy"]}, "'scopes'"),
        ("POST", f"{path}/keys", {"requests_per_minute": "5"}, "'requests_per_minute'"),
        ("PATCH", f"{path}/keys/{key['id']}", {"max_concurrent": "5"}, "'max_concurrent'"),
        ("POST", f"{path}/keys/{key['id']}/rotate", {"overlap_s": -1}, '"overlap_s is -1'),
    ):
        answer = await ann.ask(verb, where, body)
        assert (answer.status_code, told in answer.text) == (400, True), answer.text


@pytest.mark.row("S47", "D1")
async def test_a_key_is_taken_where_a_token_is(ann: Office) -> None:
    """``Authorization: Bearer YOUR_API_KEY``: who one is, one's projects, and calls; admin alone needs a person."""
    key = (await ann.give("POST", "/api/v1/auth/apikey", A5))["api_key"]
    by_token, by_key = [await ann.give("GET", "/api/v1/auth/me", bearer=one) for one in (ann.token, key)]
    assert by_token == by_key
    path, _ = await ann.project()
    listed = [await ann.give("GET", "/api/projects", bearer=one) for one in (ann.token, key)]
    assert listed[0] == listed[1]
    assert await ann.status("GET", path, bearer=key) == 200
    assert (await ann.chat(key)).status_code == 200
    assert await ann.status("POST", f"{path}/keys", {"name": "x"}, bearer=key) == 403


@pytest.mark.row("E2", "E3")
async def test_a_key_of_efgs_form_may_what_efg_documents(ann: Office) -> None:
    """``EFG_sk_live_…``: inference, deploy and usage. Every prefix works everywhere, and scopes decide (row C3)."""
    path, _ = await ann.project()
    made = await ann.give("POST", f"{path}/keys", {"name": "efg", "issuer": "efg"})
    assert made["key"].startswith("EFG_sk_live_")
    assert made["scopes"] == ["deploy", "inference", "usage:read"]
    assert await ann.status("GET", "/v1/models", bearer=made["key"]) == 200
    assert await ann.status("GET", path, bearer=made["key"]) == 200
    refused = await ann.chat(made["key"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    wider = await ann.give("POST", f"{path}/keys", {"issuer": "efg", "scopes": ["proxy", "inference"]})
    assert (await ann.chat(wider["key"])).status_code == 200


@pytest.mark.parametrize("endpoint", ["chat/completions", "completions", "embeddings"])
async def test_calling_a_model_needs_the_scope_proxy(ann: Office, endpoint: str) -> None:
    """Before the body is read; and reading usage needs its own."""
    path, _ = await ann.project()
    reader = (await ann.give("POST", f"{path}/keys", {"scopes": ["usage:read"]}))["key"]
    caller = (await ann.give("POST", f"{path}/keys", {"scopes": ["proxy"]}))["key"]
    assert await ann.status("POST", f"/v1/{endpoint}", {}, bearer=reader) == 403
    assert await ann.status("POST", f"/v1/{endpoint}", {}, bearer=caller) == 400
    assert await ann.status("GET", f"{path}/usage", bearer=caller) == 403
    assert await ann.status("GET", f"{path}/usage", bearer=reader) == 200


@pytest.mark.row("D2")
async def test_keys_are_managed_by_their_owner(ann: Office) -> None:
    """Made with bounds, listed with them, changed, rotated: what is answered is what holds."""
    path, _ = await ann.project()
    wanted: dict[str, Any] = {
        "name": "ci",
        "kind": "live",
        "scopes": ["proxy"],
        "allowed_models": ["gpt-4", "gpt-4o"],
        "expires_at": "2099-01-01T00:00:00Z",
        "tags": ["team-a", "prod"],
        "requests_per_minute": 60,
        "tokens_per_minute": 100_000,
        "max_concurrent": 4,
        "cache": {"mode": "off", "ttl_s": 60, "max_wrong_rate": 0.01, "max_wrong_hit_rate": None},
        "manage": True,
    }
    made = await ann.give("POST", f"{path}/keys", wanted)
    assert {name: made[name] for name in wanted} == wanted
    assert (made["made_by"][:5], made["replaces"], made["account_wide"]) == ("user_", None, False)
    assert (await ann.chat(made["key"], "gpt-3.5-turbo")).status_code == 403
    change: dict[str, Any] = {"allowed_models": None, "max_concurrent": None, "cache": None, "tags": [], "name": "ci 2"}
    changed = await ann.give("PATCH", f"{path}/keys/{made['id']}", change)
    assert {name: changed[name] for name in change} == change
    assert (changed["requests_per_minute"], changed["key"]) == (60, f"{made['key'][:12]}...")
    assert (await ann.chat(made["key"], "gpt-3.5-turbo")).status_code == 200
    listed = (await ann.give("GET", f"{path}/keys"))["api_keys"]
    assert [key["name"] for key in listed] == ["Default", "ci 2"]


async def test_a_rotation_overlaps(ann: Office) -> None:
    """Both work; without overlap the old one stops at once. The id may be spelt in any way (row C4)."""
    path, key = await ann.project()
    (first,) = (await ann.give("GET", f"{path}/keys"))["api_keys"]
    second = await ann.give("POST", f"{path}/keys/{first['id'].removeprefix('key_')}/rotate", {"overlap_s": 60})
    assert second["replaces"] == first["id"]
    assert MOMENT.fullmatch(second["replaced_expires_at"])
    assert [(await ann.chat(one)).status_code for one in (key, second["key"])] == [200, 200]
    third = await ann.give("POST", f"{path}/keys/{second['id']}/rotate", {"overlap_s": 0})
    assert [(await ann.chat(one)).status_code for one in (second["key"], third["key"])] == [401, 200]


async def test_a_key_makes_keys_within_itself(ann: Office) -> None:
    """One with the scope admin, and no wider ones; one without makes none."""
    path, plain = await ann.project()
    wanted = {"scopes": ["admin", "proxy"], "allowed_models": ["gpt-4"], "requests_per_minute": 5}
    admin = (await ann.give("POST", f"{path}/keys", wanted))["key"]
    child = await ann.give("POST", f"{path}/keys", {"name": "child"}, bearer=admin)
    assert (child["scopes"], child["allowed_models"], child["requests_per_minute"]) == (["proxy"], ["gpt-4"], 5)
    assert child["made_by"].startswith("key_")
    too_much: list[dict[str, Any]] = [
        {"scopes": ["billing"]},
        {"allowed_models": ["gpt-4", "gpt-4o"]},
        {"requests_per_minute": 6},
        {"manage": True},
    ]
    for wish in too_much:
        answer = await ann.ask("POST", f"{path}/keys", wish, bearer=admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
    assert await ann.status("POST", f"{path}/keys", {}, bearer=plain) == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scopes": ["everything"]}, "scopes"),
        ({"kind": "test", "issuer": "efg"}, "kind"),
        ({"issuer": "ak"}, "issuer"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\u200bb"}, "name"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tags": ["a b"]}, "tags"),
        ({"allowed_models": []}, "allowed_models"),
        ({"role": "admin"}, None),
        ({"project_id": "proj_other"}, None),
        ([], None),
    ],
)
async def test_what_no_key_can_be_is_told(ann: Office, body: Any, param: str | None) -> None:
    """400, the field named; what is not a field at all is not ignored, since it was meant to bound something."""
    path, _ = await ann.project()
    answer = await ann.ask("POST", f"{path}/keys", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert param is None or (answer.json()["error"]["param"] or "").startswith(param)


async def test_a_test_key_is_the_sandboxs(ann: Office) -> None:
    """Whatever model it names."""
    path, _ = await ann.project()
    made = await ann.give("POST", f"{path}/keys", {"kind": "test"})
    assert made["key"].startswith("lgw_test_")
    assert (await ann.chat(made["key"], "no-such-model")).headers["x-watchllm-provider"] == "sandbox"
