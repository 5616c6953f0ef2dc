// People sign in at oidc-provider, a certified implementation of OpenID Connect, and do what their groups allow.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, CLIENT, load, open, port, serve } from "./house.mjs";

const SESSION = "__Host-pointsman-session";
// Who is in which groups; changed by tests.
const groups = { ada: ["ops"], ben: ["finance"], cyd: ["ml-people"], dan: [], eve: ["ops"] };
let house, provider, issuer;

// A provider with keys of its own, made anew.
async function start(at) {
  const [{ default: Provider }, jose] = [await load("oidc-provider"), await load("jose")];
  const keys = await jose.generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await jose.exportJWK(keys.privateKey)), alg: "ES256", use: "sig", kid: `k${Date.now()}` };
  const client = {
    client_id: CLIENT.id,
    client_secret: CLIENT.secret,
    redirect_uris: ["one", "two"].map((name) => `${house.base}/admin/auth/${name}/callback`),
    id_token_signed_response_alg: "ES256",
  };
  const oidc = new Provider(issuer, {
    clients: [client],
    jwks: { keys: [jwk] },
    cookies: { keys: ["of the tests"] },
    pkce: { required: () => true },
    scopes: ["openid", "profile", "email", "groups"],
    claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"], groups: ["groups"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the tests`, groups: groups[id] ?? [] }) }),
  });
  return serve(oidc.callback(), at);
}

before(async () => {
  const at = await port();
  issuer = `http://127.0.0.1:${at}`;
  const one = {
    issuer,
    client_id: CLIENT.id,
    client_secret: CLIENT.secret,
    scopes: ["openid", "profile", "groups"],
    algorithms: ["ES256"],
    organization: "acme",
    roles: [
      { group: "ops", organization: "acme", role: "admin" },
      { group: "finance", organization: "acme", role: "billing" },
      { group: "ml-*", team: "ml", role: "owner" },
    ],
  };
  house = await open({ one, two: { ...one, user_prefix: "two:", organization: "evil", roles: [] } });
  provider = await start(at);
});

after(async () => {
  house?.close();
  await provider?.close();
});

test("groups give roles, and a session does what they allow", async () => {
  const [ada, ben, cyd] = [new Browser(), new Browser(), new Browser()];
  const answer = await ada.signIn(house, "one", "ada");
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("location"), "/keys");
  const cookie = answer.headers.getSetCookie().find((line) => line.startsWith(SESSION));
  for (const attribute of ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=3600"]) assert.match(cookie, new RegExp(`; ${attribute}(;|$)`));
  assert.doesNotMatch(cookie, /Domain=/i);
  const me = await ada.me(house);
  assert.equal(me.user, "ada");
  assert.deepEqual(me.roles.map((role) => [role.organization, role.role, role.source]), [["acme", "admin", "sign_in"]]);
  const user = await house.operator("GET", "/admin/v1/users/ada");
  assert.equal(user.name, "ada of the tests");
  assert.equal(user.organization, "acme");
  assert.equal((await ben.signIn(house, "one", "ben")).status, 303);
  assert.equal((await ben.ask(`${house.base}/admin/v1/usage`)).status, 200);
  assert.equal((await ben.ask(`${house.base}/admin/v1/decisions`)).status, 403);
  assert.equal((await cyd.signIn(house, "one", "cyd")).status, 303);
  assert.equal((await cyd.ask(`${house.base}/admin/v1/teams/ml`)).status, 200);
  assert.equal((await cyd.ask(`${house.base}/admin/v1/organizations/acme`)).status, 404);
});

test("whoever has no role does not come in, and is not taken up", async () => {
  const dan = new Browser();
  const answer = await dan.signIn(house, "one", "dan");
  assert.equal(answer.status, 403);
  assert.equal(await dan.me(house), null);
  await assert.rejects(house.operator("GET", "/admin/v1/users/dan"), /404/);
});

test("groups that are gone take their roles along", async () => {
  const eve = new Browser();
  await eve.signIn(house, "one", "eve");
  assert.equal((await eve.me(house)).roles[0].role, "admin");
  groups.eve = ["finance", "ml-x"];
  await eve.signIn(house, "one", "eve");
  assert.deepEqual((await eve.me(house)).roles.map((role) => role.role), ["billing", "owner"]);
  // What somebody has given by hand stays, and no group takes or raises it.
  await house.operator("PUT", "/admin/v1/organizations/acme/members/eve", { role: "viewer" });
  groups.eve = ["ops"];
  await eve.signIn(house, "one", "eve");
  assert.deepEqual((await eve.me(house)).roles.map((role) => [role.role, role.source]), [["viewer", "admin"]]);
  await house.operator("PATCH", "/admin/v1/users/eve", { disabled: true });
  assert.equal(await eve.me(house), null, "a session ends with its user");
  assert.equal((await eve.signIn(house, "one", "eve")).status, 403);
});

test("CSRF: a session changes nothing without what only our pages know", async () => {
  const ada = new Browser();
  await ada.signIn(house, "one", "ada");
  const { csrf_token } = await ada.me(house);
  const make = (headers) => ada.ask(`${house.base}/admin/v1/keys`, { method: "POST", headers, body: '{"team":"ml"}' });
  const json = { "content-type": "application/json" };
  assert.equal((await make(json)).status, 403);
  assert.equal((await make({ ...json, "x-pointsman-csrf": "0".repeat(32) })).status, 403);
  assert.equal((await make({ ...json, "x-pointsman-csrf": csrf_token, origin: "http://evil.example" })).status, 403);
  const form = { "content-type": "application/x-www-form-urlencoded", "x-pointsman-csrf": csrf_token };
  assert.equal((await make(form)).status, 415);
  const other = new Browser();
  await other.signIn(house, "one", "ben");
  const others = (await other.me(house)).csrf_token;
  assert.equal((await make({ ...json, "x-pointsman-csrf": others })).status, 403);
  assert.equal((await make({ ...json, "x-pointsman-csrf": csrf_token, origin: house.base })).status, 201);
  const read = await ada.ask(`${house.base}/admin/v1/keys`, { headers: { origin: "http://evil.example" } });
  assert.equal(read.status, 403, "nor is anything read from elsewhere");
});

test("session fixation: a session is always a new one, and no other cookie becomes it", async () => {
  const ada = new Browser();
  const planted = "pms-planted-by-somebody-else-0123456789";
  ada.cookies(house.base).set(SESSION, planted);
  await ada.signIn(house, "one", "ada");
  const first = ada.cookies(house.base).get(SESSION);
  assert.notEqual(first, planted);
  await ada.signIn(house, "one", "ada");
  assert.notEqual(ada.cookies(house.base).get(SESSION), first);
  const attacker = new Browser();
  attacker.cookies(house.base).set(SESSION, planted);
  assert.equal(await attacker.me(house), null);
  // Two cookies of one name: whose is whose is not guessed.
  const twice = await fetch(`${house.base}/admin/v1/me`, { headers: { cookie: `${SESSION}=${planted}; ${SESSION}=${first}` } });
  assert.equal(twice.status, 401);
  // A cookie is no bearer token, and the other way round.
  assert.equal((await fetch(`${house.base}/admin/v1/me`, { headers: { authorization: `Bearer ${first}` } })).status, 401);
});

test("a sign-in is ended once, by the browser that began it, at the provider where it did", async () => {
  const [ada, victim] = [new Browser(), new Browser()];
  const back = await ada.back(house, "one", "ada");
  // Login CSRF: the attacker's answer in the victim's browser, which has begun one of its own or none.
  assert.equal((await victim.ask(back)).status, 400);
  await victim.ask(`${house.base}/admin/auth/one`);
  const second = await ada.back(house, "one", "ada");
  assert.equal((await victim.ask(second)).status, 400);
  assert.equal(await victim.me(house), null);
  const third = await ada.back(house, "one", "ada");
  assert.equal((await ada.ask(third.replace("/one/", "/two/"))).status, 400);
  const fourth = await ada.back(house, "one", "ada");
  assert.equal((await ada.ask(fourth.replace(/state=[^&]+/, "state=other"))).status, 400);
  const fifth = await ada.back(house, "one", "ada");
  assert.equal((await ada.ask(fifth.replace(/iss=[^&]+/, "iss=https%3A%2F%2Fevil.example"))).status, 400, "RFC 9207");
  const sixth = await ada.back(house, "one", "ada");
  assert.equal((await ada.ask(sixth.replace(/&?iss=[^&]+/, ""))).status, 400, "RFC 9207");
  const seventh = await ada.back(house, "one", "ada");
  assert.equal((await ada.ask(seventh)).status, 303);
  assert.equal((await ada.ask(seventh)).status, 400, "once");
  const refused = await ada.back(house, "one", "ada");
  const answer = await ada.ask(refused.replace(/code=[^&]+/, "error=access_denied&error_description=%3Cscript%3E"));
  assert.equal(answer.status, 403);
  assert.doesNotMatch(await answer.text(), /script/);
  for (const away of ["https://evil.example", "//evil.example", "/\\evil.example"]) {
    const begun = await ada.ask(`${house.base}/admin/auth/one?back=${encodeURIComponent(away)}`);
    assert.equal(begun.status, 400, away);
  }
  // Where one comes back to is configured: no Host header and no forwarded header changes it.
  const spoofed = await ada.ask(`${house.base}/admin/auth/one`, { headers: { "x-forwarded-host": "evil.example", forwarded: "host=evil.example" } });
  const sent = new URL(spoofed.headers.get("location"));
  assert.equal(sent.searchParams.get("redirect_uri"), `${house.base}/admin/auth/one/callback`);
  assert.equal(sent.searchParams.get("code_challenge_method"), "S256");
  assert.equal((await ada.ask(`${house.base}/admin/auth/none`)).status, 404);
});

test("a user of one organization does not come in by another's provider", async () => {
  await house.operator("POST", "/admin/v1/users", { id: "two:ada", organization: "acme" });
  const ada = new Browser();
  assert.equal((await ada.signIn(house, "two", "ada")).status, 403);
  // Nor does one of no organization, who may have roles anywhere, by that of one.
  await house.operator("POST", "/admin/v1/users", { id: "two:ben" });
  await house.operator("PUT", "/admin/v1/organizations/acme/members/two:ben", { role: "owner" });
  assert.equal((await new Browser().signIn(house, "two", "ben")).status, 403);
});

test("signing out ends the session, here and wherever its cookie went", async () => {
  const ada = new Browser();
  await ada.signIn(house, "one", "ada");
  const session = ada.cookies(house.base).get(SESSION);
  const { csrf_token } = await ada.me(house);
  const out = (headers) => ada.ask(`${house.base}/admin/v1/me/session`, { method: "DELETE", headers });
  assert.equal((await out({})).status, 403);
  assert.equal((await out({ "x-pointsman-csrf": csrf_token })).status, 204);
  assert.equal(ada.cookies(house.base).has(SESSION), false);
  const thief = new Browser();
  thief.cookies(house.base).set(SESSION, session);
  assert.equal(await thief.me(house), null);
});

test("a session makes tokens, and a token makes none", async () => {
  const ada = new Browser();
  await ada.signIn(house, "one", "ada");
  const { csrf_token } = await ada.me(house);
  const headers = { "content-type": "application/json", "x-pointsman-csrf": csrf_token };
  const made = await ada.ask(`${house.base}/admin/v1/me/tokens`, { method: "POST", headers, body: '{"name":"script"}' });
  assert.equal(made.status, 201);
  const { secret } = await made.json();
  const bearer = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  assert.equal((await fetch(`${house.base}/admin/v1/teams/ml`, { headers: bearer })).status, 200);
  const another = await fetch(`${house.base}/admin/v1/me/tokens`, { method: "POST", headers: bearer, body: "{}" });
  assert.equal(another.status, 403);
});

test("a provider that rotates its keys, or goes away, is asked anew", async () => {
  const ada = new Browser();
  await provider.close();
  const down = await ada.ask(`${house.base}/admin/auth/one`);
  assert.equal(down.status, 303, "what it has told of itself is known for a while");
  provider = await start(Number(new URL(issuer).port));
  assert.equal((await ada.signIn(house, "one", "ada")).status, 303);
  assert.equal((await ada.me(house)).user, "ada");
});

test("nothing secret is told", async () => {
  const ada = new Browser();
  await ada.signIn(house, "one", "ada");
  const session = ada.cookies(house.base).get(SESSION);
  const audit = JSON.stringify(await house.operator("GET", "/admin/v1/audit?limit=1000"));
  for (const secret of [session, CLIENT.secret]) {
    assert.equal(audit.includes(secret), false);
    assert.equal(house.said().includes(secret), false);
  }
  assert.match(audit, /"actor":"user:ada"/);
});
