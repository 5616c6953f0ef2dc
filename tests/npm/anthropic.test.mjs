// `@anthropic-ai/sdk`, before OpenAI's chat completions and Gemini.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { BOTH, CALLS, CITY, NAMES, open, PDF, PERSON, PNG, READ, SEEN, SOMEONE, THOUGHT } from "./house.mjs";

let house, client;
before(async () => {
  house = await open();
  client = new Anthropic({ baseURL: house.url, apiKey: house.key, maxRetries: 0 });
});
after(() => house?.close());

const SAY = [{ role: "user", content: "Grüezi" }];
const tools = NAMES.map((name) => ({ name, input_schema: CITY }));
const said = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

for (const model of ["on-chat", "on-gemini"]) {
  const ask = (parameters) => client.messages.create({ model, max_tokens: 500, messages: SAY, ...parameters });

  test(`${model}: plain and streamed`, async () => {
    const answer = await ask({ system: "Be brief." });
    assert.equal(said(answer), "You said: Grüezi");
    assert.equal(answer.stop_reason, "end_turn");
    const stream = client.messages.stream({ model, max_tokens: 500, messages: SAY });
    assert.equal(await stream.finalText(), "You said: Grüezi");
    assert.ok((await stream.finalMessage()).usage.output_tokens > 0);
  });

  test(`${model}: tools, thought on over turns`, async () => {
    for (const streamed of [false, true]) {
      const messages = [{ role: "user", content: BOTH }];
      const parameters = { model, max_tokens: 4000, messages, tools, thinking: { type: "enabled", budget_tokens: 2000 } };
      const go = () => (streamed ? client.messages.stream(parameters).finalMessage() : client.messages.create(parameters));
      const first = await go();
      const calls = first.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(calls.map((call) => [call.name, call.input]), CALLS);
      assert.equal(first.content.find((block) => block.type === "thinking").thinking, THOUGHT);
      assert.equal(first.stop_reason, "tool_use");
      messages.push({ role: "assistant", content: first.content });
      messages.push({ role: "user", content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "fine" })) });
      assert.equal(said(await go()), "The tools say: fine; fine");
    }
  });

  test(`${model}: forced and forbidden tools, pictures, documents, forms`, async () => {
    const forced = await ask({ tools, tool_choice: { type: "tool", name: "get_time" } });
    assert.deepEqual(forced.content.filter((block) => block.type === "tool_use").map((call) => call.name), ["get_time"]);
    assert.equal(said(await ask({ messages: [{ role: "user", content: BOTH }], tools, tool_choice: { type: "none" } })), `You said: ${BOTH}`);
    const user = (type, media_type, data) => [{ role: "user", content: [{ type, source: { type: "base64", media_type, data } }, { type: "text", text: "what?" }] }];
    assert.equal(said(await ask({ messages: user("image", "image/png", PNG) })), SEEN);
    assert.equal(said(await ask({ messages: user("document", "application/pdf", PDF) })), READ);
    assert.deepEqual(JSON.parse(said(await ask({ output_config: { format: { type: "json_schema", schema: PERSON } } }))), SOMEONE);
  });

  test(`${model}: tokens are counted`, async () => {
    const count = async (text) => (await client.messages.countTokens({ model, messages: [{ role: "user", content: text }] })).input_tokens;
    assert.ok((await count("one")) < (await count("word ".repeat(100))));
  });
}

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("on-chat"));
});

test("errors are the SDK's own classes", async () => {
  const ask = (model, from = client) => from.messages.create({ model, max_tokens: 50, messages: SAY });
  await assert.rejects(ask("limited"), Anthropic.RateLimitError);
  await assert.rejects(ask("failing"), Anthropic.InternalServerError);
  await assert.rejects(ask("on-chat", new Anthropic({ baseURL: house.url, apiKey: house.narrow, maxRetries: 0 })), Anthropic.PermissionDeniedError);
  await assert.rejects(ask("on-chat", new Anthropic({ baseURL: house.url, apiKey: "pm-wrong", maxRetries: 0 })), Anthropic.AuthenticationError);
  await assert.rejects(client.messages.create({ model: "on-chat", max_tokens: 50, messages: [{ role: "robot", content: "x" }] }), Anthropic.BadRequestError);
  const broken = client.messages.stream({ model: "broken", max_tokens: 500, messages: [{ role: "user", content: "repeat 20 words" }] });
  await assert.rejects(broken.finalMessage(), Anthropic.APIError);
});
