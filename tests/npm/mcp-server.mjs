// A server of the era with sessions on the official SDK: what it can ask and tell of its client, and tasks.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

import { InMemoryTaskMessageQueue, InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { ElicitResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const text = (words) => ({ content: [{ type: "text", text: words }] });
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const FORM = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };

// Events that a client may ask for again.
class Events {
  kept = [];
  async storeEvent(stream, message) {
    this.kept.push([stream, message]);
    return String(this.kept.length);
  }
  async getStreamIdForEventId(id) {
    return this.kept[Number(id) - 1]?.[0];
  }
  async replayEventsAfter(last, { send }) {
    const stream = this.kept[Number(last) - 1][0];
    for (const [at, [other, message]] of this.kept.entries()) {
      if (at >= Number(last) && other === stream) await send(String(at + 1), message);
    }
    return stream;
  }
}

// `seen` notes what became of calls.
function made(taskStore, seen) {
  const server = new McpServer(
    { name: "sdk", version: "1.0.0" },
    {
      capabilities: { logging: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
      taskStore,
      taskMessageQueue: new InMemoryTaskMessageQueue(),
    },
  );
  const tool = (name, inputSchema, work) => server.registerTool(name, { description: name, inputSchema }, work);
  const related = (extra) => ({ relatedRequestId: extra.requestId });
  tool("sample", { prompt: z.string() }, async ({ prompt }, extra) => {
    const messages = [{ role: "user", content: { type: "text", text: prompt } }];
    const answer = await server.server.createMessage({ messages, maxTokens: 10 }, related(extra));
    return text(`the model says ${answer.content.text}`);
  });
  tool("elicit", {}, async (_, extra) => {
    const answer = await server.server.elicitInput({ mode: "form", message: "Who?", requestedSchema: FORM }, related(extra));
    return text(`${answer.action} ${answer.content?.name}`);
  });
  tool("roots", {}, async (_, extra) => {
    const { roots } = await server.server.listRoots({}, related(extra));
    return text(roots.map((root) => root.uri).join(" "));
  });
  tool("steps", { count: z.number(), every: z.number() }, async ({ count, every }, extra) => {
    for (let progress = 1; progress <= count; progress++) {
      const params = { progressToken: extra._meta?.progressToken, progress, total: count };
      await extra.sendNotification({ method: "notifications/progress", params });
      await pause(every);
    }
    return text(`${count} steps`);
  });
  tool("hang", {}, async (_, extra) => {
    seen.hanging += 1;
    await new Promise((resolve) => extra.signal.addEventListener("abort", resolve));
    seen.cancelled += 1;
    return text("never");
  });
  // Tasks: one that works on its own, and one that asks meanwhile.
  const task = (name, taskSupport, inputSchema, work) => {
    const config = { description: name, inputSchema, execution: { taskSupport } };
    server.experimental.tasks.registerToolTask(name, config, {
      async createTask(given, extra) {
        const begun = await extra.taskStore.createTask({ ttl: 60_000, pollInterval: 100 });
        (async () => {
          const end = await work(given, extra, begun.taskId).then((words) => ["completed", text(words)], (error) => ["failed", { ...text(String(error)), isError: true }]);
          // It may have been cancelled meanwhile.
          await extra.taskStore.storeTaskResult(begun.taskId, ...end).catch(() => {});
        })();
        return { task: begun };
      },
      getTask: (_, { taskId, taskStore: store }) => store.getTask(taskId),
      getTaskResult: (_, { taskId, taskStore: store }) => store.getTaskResult(taskId),
    });
  };
  task("compute", "optional", { time: z.number() }, async ({ time }) => {
    await pause(time);
    return `computed for ${time}`;
  });
  task("confirm", "required", {}, async (_, extra, taskId) => {
    // Its client asks for the result then, and is asked on that stream.
    await extra.taskStore.updateTaskStatus(taskId, "input_required");
    const request = { method: "elicitation/create", params: { mode: "form", message: "Sure?", requestedSchema: FORM } };
    const answer = await server.server.request(request, ElicitResultSchema, { relatedTask: { taskId }, timeout: 3_000 });
    await extra.taskStore.updateTaskStatus(taskId, "working");
    return `${answer.action} ${answer.content?.name}`;
  });
  return server;
}

// Starts it; `close` ends it.
export async function serve() {
  const [sessions, seen] = [new Map(), { hanging: 0, cancelled: 0, began: 0 }];
  const taskStore = new InMemoryTaskStore();
  const answer = async (request, response) => {
    let transport = sessions.get(request.headers["mcp-session-id"]);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        eventStore: new Events(),
        retryInterval: 100,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      seen.began += 1;
      await made(taskStore, seen).connect(transport);
    }
    await transport.handleRequest(request, response);
  };
  const listener = createServer((request, response) => answer(request, response).catch(() => response.destroy()));
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${listener.address().port}/mcp`,
    seen,
    close() {
      taskStore.cleanup();
      listener.closeAllConnections();
      listener.close();
    },
  };
}
