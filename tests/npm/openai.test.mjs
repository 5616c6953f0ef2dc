// `openai`: chat completions before Anthropic's messages and Gemini, responses before Converse and messages.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { BOTH, CALLS, CITY, NAMES, open, PDF, PERSON, PNG, READ, SEEN, SOMEONE, THOUGHT } from "./house.mjs";

let house, client;
before(async () => {
  house = await open();
  client = new OpenAI({ baseURL: `${house.url}/v1`, apiKey: house.key, maxRetries: 0 });
});
after(() => house?.close());

const SAY = [{ role: "user", content: "Grüezi" }];
const tools = NAMES.map((name) => ({ type: "function", function: { name, parameters: CITY, strict: true } }));
const made = (calls) => calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

for (const model of ["on-messages", "on-gemini"]) {
  test(`chat before ${model}: plain and streamed`, async () => {
    const answer = await client.chat.completions.create({ model, messages: SAY });
    assert.equal(answer.choices[0].message.content, "You said: Grüezi");
    assert.equal(answer.choices[0].finish_reason, "stop");
    const stream = client.chat.completions.stream({ model, messages: SAY, stream_options: { include_usage: true } });
    assert.equal(await stream.finalContent(), "You said: Grüezi");
    const used = await stream.totalUsage();
    assert.equal(used.completion_tokens, answer.usage.completion_tokens);
    assert.ok(used.prompt_tokens > 0);
  });

  test(`chat before ${model}: tools, thought on over turns`, async () => {
    for (const streamed of [false, true]) {
      const messages = [{ role: "user", content: BOTH }];
      const ask = async () => {
        const parameters = { model, messages, tools, reasoning_effort: "low", max_completion_tokens: 4000 };
        if (!streamed) return (await client.chat.completions.create(parameters)).choices[0];
        let thought = "";
        const stream = client.chat.completions.stream(parameters);
        stream.on("chunk", (chunk) => (thought += chunk.choices[0]?.delta?.reasoning_content ?? ""));
        const choice = (await stream.finalChatCompletion()).choices[0];
        // The SDK keeps the last piece only of a field that it does not know.
        if (thought) choice.message.reasoning_content = thought;
        return choice;
      };
      const first = await ask();
      assert.deepEqual(made(first.message.tool_calls), CALLS);
      assert.equal(first.finish_reason, "tool_calls");
      assert.equal(first.message.reasoning_content, THOUGHT);
      // As the SDK has it, with what it adds for itself left out.
      const { parsed, ...message } = first.message;
      message.tool_calls = message.tool_calls.map(({ id, type, function: { name, arguments: text }, ...more }) => {
        delete more.index;
        return { id, type, function: { name, arguments: text }, ...more };
      });
      messages.push(message, ...message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "fine" })));
      assert.equal((await ask()).message.content, "The tools say: fine; fine");
    }
  });

  test(`chat before ${model}: forced and forbidden tools, pictures, documents, forms`, async () => {
    const ask = async (parameters) => (await client.chat.completions.create({ model, messages: SAY, max_completion_tokens: 500, ...parameters })).choices[0].message;
    const forced = await ask({ tools, tool_choice: { type: "function", function: { name: "get_time" } } });
    assert.deepEqual(forced.tool_calls.map((call) => call.function.name), ["get_time"]);
    const forbidden = await ask({ messages: [{ role: "user", content: BOTH }], tools, tool_choice: "none" });
    assert.equal(forbidden.content, `You said: ${BOTH}`);
    const user = (part) => [{ role: "user", content: [{ type: "text", text: "what?" }, part] }];
    assert.equal((await ask({ messages: user({ type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } }) })).content, SEEN);
    const file = { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${PDF}` } };
    assert.equal((await ask({ messages: user(file) })).content, READ);
    const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON } };
    assert.deepEqual(JSON.parse((await ask({ response_format })).content), SOMEONE);
  });
}

const functions = NAMES.map((name) => ({ type: "function", name, parameters: CITY, strict: true }));

for (const model of ["on-converse", "on-messages"]) {
  test(`responses before ${model}: an agent that thinks, whole and streamed`, async () => {
    for (const streamed of [false, true]) {
      const input = [{ role: "user", content: BOTH }];
      const ask = async () => {
        const parameters = { model, input, tools: functions, store: false, include: ["reasoning.encrypted_content"], reasoning: { effort: "low", summary: "auto" } };
        return streamed ? client.responses.stream(parameters).finalResponse() : client.responses.create(parameters);
      };
      const first = await ask();
      const calls = first.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => [call.name, JSON.parse(call.arguments)]), CALLS);
      assert.equal(first.output.find((item) => item.type === "reasoning").summary[0].text, THOUGHT);
      input.push(...first.output.map(({ parsed_arguments, ...item }) => item));
      input.push(...calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "fine" })));
      assert.equal((await ask()).output_text, "The tools say: fine; fine");
    }
  });

  test(`responses before ${model}: pictures and forms`, async () => {
    const picture = { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${PNG}` };
    const seen = await client.responses.create({ model, input: [{ role: "user", content: [{ type: "input_text", text: "what?" }, picture] }] });
    assert.equal(seen.output_text, SEEN);
    const formed = await client.responses.parse({ model, input: "Who?", text: { format: { type: "json_schema", name: "person", schema: PERSON, strict: true } } });
    assert.deepEqual(formed.output_parsed, SOMEONE);
  });
}

test("embeddings and models", async () => {
  const answer = await client.embeddings.create({ model: "embedding", input: ["one", "two"] });
  assert.deepEqual(answer.data.map((one) => one.embedding.length), [8, 8]);
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("on-gemini"));
});

test("errors are the SDK's own classes", async () => {
  const ask = (model, from = client) => from.chat.completions.create({ model, messages: SAY });
  await assert.rejects(ask("limited"), OpenAI.RateLimitError);
  await assert.rejects(ask("failing"), OpenAI.InternalServerError);
  await assert.rejects(ask("on-chat", new OpenAI({ baseURL: `${house.url}/v1`, apiKey: house.narrow, maxRetries: 0 })), OpenAI.PermissionDeniedError);
  await assert.rejects(ask("on-chat", new OpenAI({ baseURL: `${house.url}/v1`, apiKey: "pm-wrong", maxRetries: 0 })), OpenAI.AuthenticationError);
  await assert.rejects(client.chat.completions.create({ model: "on-messages", messages: SAY, n: 3 }), (error) => error instanceof OpenAI.BadRequestError && error.param === "n");
  const broken = await client.chat.completions.create({ model: "broken", messages: [{ role: "user", content: "repeat 20 words" }], stream: true });
  await assert.rejects(async () => { for await (const _ of broken); }, OpenAI.APIError);
});
