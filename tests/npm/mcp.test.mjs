// The official SDK of the Model Context Protocol on both sides of the gateway: what servers ask and tell, broken
// connections, tasks.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  RELATED_TASK_META_KEY,
} from "@modelcontextprotocol/sdk/types.js";

import { serve } from "./mcp-server.mjs";

const BINARY = process.env.POINTSMAN ?? "pointsman";
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

const folder = mkdtempSync(join(tmpdir(), "pointsman-mcp-"));
const [closing, keys] = [[], {}];
let server, port, proxy;

// What can be cut between a client and the gateway.
async function between(target) {
  const open = new Set();
  const listener = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      open.add(one);
      one.pipe(other);
      one.on("error", () => {});
      one.on("close", () => (open.delete(one), other.destroy()));
    }
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const cut = () => open.forEach((socket) => socket.destroy());
  closing.push(() => (cut(), listener.close()));
  return { port: listener.address().port, cut };
}

before(async () => {
  server = await serve();
  closing.push(() => server.close());
  const file = join(folder, "pointsman.yaml");
  writeFileSync(file, `
listeners: { api: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
stores: { database: "sqlite://${folder}/p.db", blobs: "file://${folder}" }
mcp: { prefix: never, servers: { sdk: { url: "${server.url}" } } }
`);
  for (const name of ["one", "other"]) {
    const made = execFileSync(BINARY, ["key", "create", "-c", file, "--name", name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    keys[name] = made.trim();
  }
  const child = spawn(BINARY, ["serve", "-c", file], { stdio: ["ignore", "pipe", "ignore"] });
  closing.push(() => child.kill());
  port = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = /listening on \S+:(\d+)/.exec(line);
      if (found) resolve(Number(found[1]));
    });
    child.on("exit", () => reject(new Error("the gateway ended")));
  });
  proxy = await between(port);
});

after(() => {
  closing.reverse().forEach((close) => close());
  rmSync(folder, { recursive: true, force: true });
});

// A client; `asked` has what it was asked, and `told` what it was told.
async function client(key = keys.one, at = port) {
  const capabilities = { sampling: {}, elicitation: {}, roots: {}, tasks: { list: {}, cancel: {} } };
  const made = new Client({ name: "npm", version: "1.0.0" }, { capabilities });
  made.asked = [];
  const answers = (schema, answer) =>
    made.setRequestHandler(schema, (request) => {
      made.asked.push(request);
      return answer(request);
    });
  answers(CreateMessageRequestSchema, ({ params }) => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: `${params.messages[0].content.text}!` },
  }));
  answers(ElicitRequestSchema, () => ({ action: "accept", content: { name: "Ada" } }));
  answers(ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///a" }, { uri: "file:///b" }] }));
  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${at}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${key}` } },
    reconnectionOptions: { initialReconnectionDelay: 50, maxReconnectionDelay: 200, reconnectionDelayGrowFactor: 1, maxRetries: 20 },
  });
  await made.connect(transport);
  return made;
}

const words = (result) => result.content[0].text;

test("a server asks its client for what a model says, for input, and for roots", async () => {
  const one = await client();
  assert.equal(words(await one.callTool({ name: "sample", arguments: { prompt: "Hello" } })), "the model says Hello!");
  assert.equal(words(await one.callTool({ name: "elicit", arguments: {} })), "accept Ada");
  assert.equal(words(await one.callTool({ name: "roots", arguments: {} })), "file:///a file:///b");
  assert.deepEqual(one.asked.map((request) => request.method), ["sampling/createMessage", "elicitation/create", "roots/list"]);
  await one.close();
});

test("progress comes as it is made", async () => {
  const one = await client();
  const heard = [];
  const call = { name: "steps", arguments: { count: 4, every: 60 } };
  const result = await one.callTool(call, undefined, { onprogress: ({ progress }) => heard.push([progress, Date.now()]) });
  assert.equal(words(result), "4 steps");
  assert.deepEqual(heard.map(([progress]) => progress), [1, 2, 3, 4]);
  assert.ok(heard[3][1] - heard[0][1] > 100, "they came together");
  await one.close();
});

test("a call that its client gives up ends at its server", async () => {
  const one = await client();
  const [before, giving] = [{ ...server.seen }, new AbortController()];
  const call = one.callTool({ name: "hang", arguments: {} }, undefined, { signal: giving.signal });
  while (server.seen.hanging === before.hanging) await pause(20);
  giving.abort("enough");
  await assert.rejects(call);
  for (let tries = 0; server.seen.cancelled === before.cancelled && tries < 100; tries++) await pause(20);
  assert.equal(server.seen.cancelled, before.cancelled + 1);
  await one.close();
});

test("a connection that breaks in the middle of a call loses nothing, and nothing comes twice", async () => {
  const one = await client(keys.one, proxy.port);
  const heard = [];
  const call = { name: "steps", arguments: { count: 12, every: 100 } };
  const calling = one.callTool(call, undefined, { onprogress: ({ progress }) => heard.push(progress) });
  while (heard.length < 3) await pause(10);
  proxy.cut();
  while (heard.length < 7) await pause(10);
  proxy.cut();
  assert.equal(words(await calling), "12 steps");
  assert.deepEqual(heard, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  await one.close();
});

test("a call becomes a task, is looked after, and gives its result", async () => {
  const one = await client();
  // What its client knows of tools says which are tasks.
  await one.listTools();
  const told = [];
  const stream = one.experimental.tasks.callToolStream({ name: "compute", arguments: { time: 300 } }, CallToolResultSchema, { task: { ttl: 60_000 } });
  for await (const message of stream) told.push(message);
  assert.equal(told[0].type, "taskCreated");
  assert.equal(told.at(-1).type, "result");
  assert.equal(words(told.at(-1).result), "computed for 300");
  const { taskId } = told[0].task;
  assert.ok(told.filter(({ type }) => type === "taskStatus").every(({ task }) => task.taskId === taskId));
  assert.equal((await one.experimental.tasks.getTask(taskId)).status, "completed");
  const result = await one.experimental.tasks.getTaskResult(taskId, CallToolResultSchema);
  assert.equal(result._meta[RELATED_TASK_META_KEY].taskId, taskId);
  const { tasks } = await one.experimental.tasks.listTasks();
  assert.deepEqual(tasks.map((task) => task.taskId), [taskId]);
  // Nobody else knows it, by this name or by any.
  const other = await client(keys.other);
  await assert.rejects(other.experimental.tasks.getTask(taskId), /Unknown task/);
  await assert.rejects(other.experimental.tasks.cancelTask(taskId), /Unknown task/);
  await assert.rejects(other.experimental.tasks.getTask("1"), /Unknown task/);
  assert.deepEqual((await other.experimental.tasks.listTasks()).tasks, []);
  await Promise.all([one.close(), other.close()]);
});

test("a task asks its client while it is looked after", async () => {
  const one = await client();
  await one.listTools();
  const told = [];
  const stream = one.experimental.tasks.callToolStream({ name: "confirm", arguments: {} }, CallToolResultSchema, { task: { ttl: 60_000 } });
  for await (const message of stream) told.push(message);
  const [{ task }, { result }] = [told[0], told.at(-1)];
  assert.equal(words(result), "accept Ada");
  // The question belongs to the task that the client knows.
  assert.equal(one.asked[0].params._meta[RELATED_TASK_META_KEY].taskId, task.taskId);
  await one.close();
});

test("a task is cancelled", async () => {
  const one = await client();
  await one.listTools();
  const stream = one.experimental.tasks.callToolStream({ name: "compute", arguments: { time: 5_000 } }, CallToolResultSchema, { task: { ttl: 60_000 } });
  const { value } = await stream.next();
  const cancelled = await one.experimental.tasks.cancelTask(value.task.taskId);
  assert.deepEqual([cancelled.taskId, cancelled.status], [value.task.taskId, "cancelled"]);
  assert.equal((await one.experimental.tasks.getTask(value.task.taskId)).status, "cancelled");
  await one.close();
});
