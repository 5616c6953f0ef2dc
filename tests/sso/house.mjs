// A gateway whose people sign in at a provider, and browsers that do so.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const BINARY = process.env.POINTSMAN ?? "pointsman";
export const TOKEN = "an-admin-token-of-the-tests-3f9c1a";
export const CLIENT = { id: "pointsman", secret: "a-secret-with-%-and-+-of-the-tests" };

// Packages are where SSO says, beside the tests or elsewhere.
const require = createRequire(resolve(process.env.SSO ?? import.meta.dirname, "package.json"));
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);

// A port that is free now.
export const port = () =>
  new Promise((done) => {
    const server = listen().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

// Serves until it is closed.
export const serve = (handler, port = 0) =>
  new Promise((done) => {
    const server = createServer(handler).listen(port, "127.0.0.1", () => {
      const close = () => new Promise((closed) => (server.closeAllConnections(), server.close(closed)));
      done({ url: `http://127.0.0.1:${server.address().port}`, close });
    });
  });

// A gateway with these identity providers; organizations acme and evil, and a team of acme.
export async function open(providers) {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-sso-"));
  const [api, admin] = [await port(), await port()];
  const base = `http://127.0.0.1:${admin}`;
  const file = join(folder, "pointsman.yaml");
  writeFileSync(
    file,
    `
listeners: { api: { address: "127.0.0.1:${api}" }, admin: { address: "127.0.0.1:${admin}" } }
stores: { database: "sqlite://${folder}/p.db", blobs: "file://${folder}" }
identity: { oidc: { public_url: "${base}", session: 1h, providers: ${JSON.stringify(providers)} } }
`,
  );
  const child = spawn(BINARY, ["serve", "-c", file], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, POINTSMAN_ADMIN_TOKEN: TOKEN } });
  const said = [];
  await new Promise((started, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        said.push(line);
        if (line.includes("metrics on ")) started();
      });
    }
    child.on("exit", () => reject(new Error(said.join("\n"))));
    child.on("error", reject);
  });
  const operator = async (method, path, body) => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };
  for (const id of ["acme", "evil"]) await operator("POST", "/admin/v1/organizations", { id });
  await operator("POST", "/admin/v1/teams", { id: "ml", organization: "acme" });
  return {
    base,
    operator,
    said: () => said.join("\n"),
    close() {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// A browser: cookies of each host, and no page that it does not go to itself.
export class Browser {
  #jars = new Map();

  cookies(url) {
    const host = new URL(url).host;
    if (!this.#jars.has(host)) this.#jars.set(host, new Map());
    return this.#jars.get(host);
  }

  async ask(url, options = {}) {
    const jar = this.cookies(url);
    const headers = { ...options.headers };
    if (jar.size) headers.cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { ...options, headers, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const at = pair.indexOf("=");
      const ended = attributes.some((one) => /^max-age=0$/i.test(one) || /^expires=thu, 01 jan 1970/i.test(one));
      if (ended) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }

  // Goes to the provider, says who it is, and stops before it goes to a place that `until` says.
  async follow(url, who, until) {
    for (let step = 0; step < 20; step += 1) {
      if (until(url)) return url;
      let answer = await this.ask(url);
      if (answer.status === 200) {
        const form = await answer.text();
        const prompt = /name="prompt" value="(\w+)"/.exec(form)?.[1];
        if (!prompt) throw new Error(`${url}: ${form}`);
        const body = new URLSearchParams(prompt === "login" ? { prompt, login: who, password: "any" } : { prompt });
        const action = new URL(/action="([^"]+)"/.exec(form)[1], url);
        answer = await this.ask(action, { method: "POST", body });
      }
      const next = answer.headers.get("location");
      if (!next) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
      url = new URL(next, url).href;
    }
    throw new Error(`it goes round and round at ${url}`);
  }

  // As far as where the provider leads back to.
  back(house, provider, who) {
    const callback = `${house.base}/admin/auth/${provider}/callback?`;
    return this.follow(`${house.base}/admin/auth/${provider}?back=/keys`, who, (url) => url.startsWith(callback));
  }

  async signIn(house, provider, who) {
    return this.ask(await this.back(house, provider, who));
  }

  async me(house) {
    const answer = await this.ask(`${house.base}/admin/v1/me`);
    return answer.ok ? answer.json() : null;
  }
}
