"""An MCP server that wants to be let in, and its authorization server, which registers whoever comes and lets in whoever
goes through: small, strict, and counting.

    python granting.py LIFETIME [plain]

Tokens are good for so many seconds; they can be revoked, unless it is a plain one. Says where it listens on its first line; `/seen` tells what has come.
"""

import base64
import hashlib
import json
import secrets
import socket
import sys
from urllib.parse import parse_qs, parse_qsl, urlencode

import uvicorn

LIFETIME = float(sys.argv[1]) if __name__ == "__main__" else 0
clients, codes, refreshes, tokens = {}, {}, {}, {}
seen = {"refreshed": 0, "authorized": 0, "users": [], "revoked": []}
base = ""


def issued(user):
    access, refresh = secrets.token_hex(16), secrets.token_hex(16)
    tokens[access], refreshes[refresh] = user, user
    seen.setdefault("tokens", []).extend([access, refresh])
    return 200, {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": LIFETIME}


def register(body):
    name = secrets.token_hex(8)
    clients[name] = json.loads(body)["redirect_uris"]
    return 201, {"client_id": name, "token_endpoint_auth_method": "none"}


def authorize(query):
    """Lets everybody in, as another user each time."""
    assert query["redirect_uri"] in clients[query["client_id"]] and query["code_challenge_method"] == "S256"
    assert query["resource"] == f"{base}/mcp", query
    seen["authorized"] += 1
    code = secrets.token_hex(8)
    codes[code] = (query, f"user-{seen['authorized']}")
    back = urlencode({"code": code, "state": query["state"], "iss": base})
    return f"{query['redirect_uri']}?{back}"


def token(form):
    if form["grant_type"] == "refresh_token":
        user = refreshes.pop(form["refresh_token"], None)
        if user is None:
            return 400, {"error": "invalid_grant"}
        seen["refreshed"] += 1
        return issued(user)
    query, user = codes.pop(form["code"], (None, None))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
    fits = query and challenge == query["code_challenge"]
    if not (fits and form["client_id"] == query["client_id"] and form["redirect_uri"] == query["redirect_uri"]):
        return 400, {"error": "invalid_grant"}
    return issued(user)


def mcp(message, user):
    """A server of the newer era with one tool, which says who asks, and is called after them."""
    if message["method"] == "server/discover":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": f"of_{user}", "inputSchema": {"type": "object"}}], "ttlMs": 60_000}
    elif message["method"] == "tools/call":
        seen["users"].append(user)
        result = {"content": [{"type": "text", "text": user}]}
    else:
        error = {"code": -32601, "message": "Method not found"}
        return {"jsonrpc": "2.0", "id": message.get("id"), "error": error}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result | {"resultType": "complete"}}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    path, headers = scope["path"], dict(scope["headers"])
    status, answer, extra = 200, {}, []
    if path == "/.well-known/oauth-protected-resource/mcp":
        answer = {"resource": f"{base}/mcp", "authorization_servers": [base]}
    elif path == "/.well-known/oauth-authorization-server":
        answer = {
            "issuer": base,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "registration_endpoint": f"{base}/register",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        if "plain" not in sys.argv:
            answer["revocation_endpoint"] = f"{base}/revocation"
    elif path == "/register":
        status, answer = register(body)
    elif path == "/authorize":
        status, extra = 302, [(b"location", authorize(dict(parse_qsl(scope["query_string"].decode()))).encode())]
    elif path == "/token":
        status, answer = token({name: values[0] for name, values in parse_qs(body.decode()).items()})
    elif path == "/revocation":
        form = dict(parse_qsl(body.decode()))
        assert form["client_id"] in clients, form
        seen["revoked"].append([form["token_type_hint"], form["token"]])
        refreshes.pop(form["token"], None)
        tokens.pop(form["token"], None)
    elif path == "/seen":
        answer = seen
    elif path == "/revoke":
        tokens.clear()
        refreshes.clear()
    elif path == "/mcp":
        bearer = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        if bearer in tokens:
            answer = mcp(json.loads(body), tokens[bearer])
        else:
            place = f'Bearer resource_metadata="{base}/.well-known/oauth-protected-resource/mcp", scope="use"'
            status, extra = 401, [(b"www-authenticate", place.encode())]
    else:
        status = 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json"), *extra]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    print(f"listening on {base}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])
