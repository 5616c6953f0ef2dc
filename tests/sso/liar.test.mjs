// Providers that lie, or whose answers somebody has changed: nobody comes in. And GitHub, which is no OpenID provider.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, CLIENT, load, open, serve } from "./house.mjs";

const NAMES = ["openid", "github"];
let house, jose, server, keys, others;
// What the provider changes of what it should say.
let lie = {};

const json = (response, body, status = 200) => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

async function token(nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: server.url, aud: CLIENT.id, sub: "kim", nonce, iat: now, exp: now + 60, groups: ["ops"], ...lie.claims };
  for (const name of Object.keys(claims)) if (claims[name] === undefined) delete claims[name];
  const header = { alg: "ES256", kid: "k", ...lie.header };
  if (header.alg === "none") {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    return `${part(header)}.${part(claims)}.`;
  }
  const signed = new jose.SignJWT(claims).setProtectedHeader(header);
  if (header.alg === "HS256") {
    // With what anybody can read, or what only both know: neither is how this provider signs.
    const secret = lie.secret ?? JSON.stringify(await jose.exportJWK(keys.publicKey));
    return signed.sign(new TextEncoder().encode(secret));
  }
  return signed.sign((lie.keys ?? keys).privateKey);
}

const nonces = new Map();
async function answer(request, response) {
  const url = new URL(request.url, server.url);
  let body = "";
  for await (const part of request) body += part;
  const form = new URLSearchParams(body);
  switch (url.pathname) {
    case "/.well-known/openid-configuration":
      return json(response, {
        issuer: server.url,
        authorization_endpoint: `${server.url}/authorize`,
        token_endpoint: `${server.url}/token`,
        jwks_uri: `${server.url}/jwks`,
        ...(lie.userinfo ? { userinfo_endpoint: `${server.url}/userinfo` } : {}),
        ...lie.description,
      });
    case "/jwks":
      return json(response, { keys: [{ ...(await jose.exportJWK(keys.publicKey)), kid: "k", alg: "ES256" }] });
    case "/login/oauth/authorize":
    case "/authorize": {
      const back = new URL(url.searchParams.get("redirect_uri"));
      back.searchParams.set("state", url.searchParams.get("state"));
      back.searchParams.set("code", "code");
      nonces.set("code", url.searchParams.get("nonce"));
      response.writeHead(303, { location: back.href });
      return response.end();
    }
    case "/token":
      if (lie.status) return json(response, { error: "invalid_grant" }, lie.status);
      return json(response, { token_type: "Bearer", access_token: "access", id_token: await token(nonces.get("code")) });
    case "/userinfo":
      return json(response, lie.userinfo);
    case "/login/oauth/access_token":
      assert.equal(form.get("client_secret"), CLIENT.secret);
      assert.ok(form.get("code_verifier"));
      return json(response, { token_type: "bearer", access_token: "gho_access" });
    case "/api/v3/user":
      assert.equal(request.headers.authorization, "Bearer gho_access");
      return json(response, { id: 7, login: "kim-at-github", name: "Kim" });
    case "/api/v3/user/orgs":
      return json(response, [{ login: "acme-inc" }]);
    case "/api/v3/user/teams":
      return json(response, [{ slug: "rails", organization: { login: "acme-inc" } }]);
    default:
      return json(response, {}, 404);
  }
}

before(async () => {
  jose = await load("jose");
  [keys, others] = [await jose.generateKeyPair("ES256", { extractable: true }), await jose.generateKeyPair("ES256")];
  server = await serve(answer);
  const common = { issuer: server.url, client_id: CLIENT.id, client_secret: CLIENT.secret, organization: "acme" };
  const roles = (group) => [{ group, organization: "acme", role: "viewer" }];
  // Each lie has a provider of its own: what one has told of itself is not believed of another.
  house = await open({
    openid: { ...common, require: { "/hd": "acme.example" }, roles: roles("ops") },
    github: { ...common, preset: "github", user_prefix: "gh:", roles: roles("acme-inc/rails") },
  });
  assert.deepEqual((await (await fetch(`${house.base}/admin/auth`)).json()).data.map((one) => one.name).sort(), NAMES.sort());
});

after(async () => {
  house?.close();
  await server?.close();
});

async function signIn(lies, provider = "openid") {
  lie = lies;
  const browser = new Browser();
  const answer = await browser.signIn(house, provider, "kim");
  const came = await browser.me(house);
  assert.equal(came !== null, answer.status === 303);
  return answer.status;
}

const hd = { hd: "acme.example" };

test("who tells the truth comes in", async () => {
  assert.equal(await signIn({ claims: hd }), 303);
  assert.equal(await signIn({ claims: { ...hd, aud: [CLIENT.id, "other"], azp: CLIENT.id } }), 303);
});

test("tokens that are not what they should be let nobody in", async () => {
  const now = Math.floor(Date.now() / 1000);
  const lies = {
    "alg none": { header: { alg: "none" } },
    "alg confusion with the public key": { header: { alg: "HS256" } },
    "alg confusion with the client's secret": { header: { alg: "HS256" }, secret: CLIENT.secret },
    "another's key": { keys: others },
    "a kid that leads elsewhere": { header: { kid: "../../../../dev/null" } },
    "a kid that is a statement": { header: { kid: "' OR '1'='1" } },
    "a key in the token": { header: { jwk: await jose.exportJWK(keys.publicKey) } },
    "keys elsewhere": { header: { jku: "https://evil.example/keys" } },
    "another sign-in's nonce": { claims: { ...hd, nonce: "other" } },
    "no nonce": { claims: { ...hd, nonce: undefined } },
    "another client": { claims: { ...hd, aud: "other" } },
    "several clients, none of them named": { claims: { ...hd, aud: [CLIENT.id, "other"] } },
    "issued to another": { claims: { ...hd, azp: "other" } },
    "another issuer": { claims: { ...hd, iss: "https://evil.example" } },
    "too old": { claims: { ...hd, exp: now - 120 } },
    "without end": { claims: { ...hd, exp: undefined } },
    "nobody": { claims: { ...hd, sub: undefined } },
    "somebody without letters": { claims: { ...hd, sub: 7 } },
    "a refused code": { status: 400 },
  };
  for (const [name, one] of Object.entries(lies)) {
    const status = await signIn({ claims: hd, ...one });
    assert.equal(status, 502, `${name}: ${status}`);
  }
  for (const other of ["evil.example", undefined, ["acme.example", "x"]]) {
    assert.equal(await signIn({ claims: { hd: other } }), 403, String(other));
  }
  const users = await house.operator("GET", "/admin/v1/users");
  assert.deepEqual(users.data.map((user) => user.id), ["kim"]);
});

test("GitHub's users are known by their number, and their teams give roles", async () => {
  assert.equal(await signIn({}, "github"), 303);
  const user = await house.operator("GET", "/admin/v1/users/gh%3A7");
  assert.equal(user.name, "Kim");
  const members = await house.operator("GET", "/admin/v1/organizations/acme/members");
  assert.deepEqual(members.data.find((member) => member.user === "gh:7").role, "viewer");
});

test("what a provider tells of itself is not believed when it leads elsewhere", async () => {
  for (const description of [{ issuer: "https://evil.example" }, { token_endpoint: "http://169.254.169.254/token" }, { jwks_uri: undefined }, { authorization_endpoint: "javascript:alert(1)" }]) {
    lie = { description };
    const fresh = await open({ openid: { issuer: server.url, client_id: CLIENT.id, roles: [] } });
    const begun = await fetch(`${fresh.base}/admin/auth/openid`, { redirect: "manual" });
    assert.equal(begun.status, 502, JSON.stringify(description));
    fresh.close();
  }
});

test("what is told beside a token is about the same person", async () => {
  for (const [userinfo, status] of [[{ sub: "kim", groups: [] }, 303], [{ sub: "eve" }, 502], [{}, 502]]) {
    lie = { claims: hd, userinfo };
    const fresh = await open({ openid: { issuer: server.url, client_id: CLIENT.id, organization: "acme", roles: [{ group: "ops", organization: "acme", role: "viewer" }] } });
    const browser = new Browser();
    assert.equal((await browser.signIn(fresh, "openid", "kim")).status, status, JSON.stringify(userinfo));
    fresh.close();
  }
});
