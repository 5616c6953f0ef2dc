// `ai` with its own clients of OpenAI's two formats, of Anthropic's and of Google's, before providers of other formats.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";
import { BOTH, CALLS, NAMES, open, PDF, PNG, READ, SEEN, THOUGHT } from "./house.mjs";

let house, speakers, openai;
before(async () => {
  house = await open();
  const apiKey = house.key;
  openai = createOpenAI({ baseURL: `${house.url}/v1`, apiKey });
  const anthropic = createAnthropic({ baseURL: `${house.url}/v1`, apiKey });
  const google = createGoogle({ baseURL: `${house.url}/v1beta`, apiKey });
  speakers = {
    chat: (model) => openai.chat(model),
    responses: (model) => openai.responses(model),
    messages: (model) => anthropic(model),
    gemini: (model) => google(model),
  };
});
after(() => house?.close());

const PAIRS = [["chat", "on-messages"], ["responses", "on-converse"], ["messages", "on-responses"], ["gemini", "on-chat"]];
// How each is told to think.
const THINKING = {
  responses: { openai: { reasoningEffort: "low", reasoningSummary: "auto", store: false, include: ["reasoning.encrypted_content"], forceReasoning: true } },
  messages: { anthropic: { thinking: { type: "enabled", budgetTokens: 2000 } } },
  gemini: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 } } },
};

for (const [speaker, model] of PAIRS) {
  test(`${speaker} before ${model}: plain and streamed`, async () => {
    const answer = await generateText({ model: speakers[speaker](model), instructions: "Be brief.", prompt: "Grüezi" });
    assert.equal(answer.text, "You said: Grüezi");
    assert.equal(answer.finishReason, "stop");
    const stream = streamText({ model: speakers[speaker](model), instructions: "Be brief.", prompt: "Grüezi" });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, answer.text);
    const used = await stream.usage;
    assert.deepEqual([used.inputTokens, used.outputTokens], [answer.usage.inputTokens, answer.usage.outputTokens]);
    assert.ok(used.inputTokens > 0 && used.outputTokens > 0);
  });

  test(`${speaker} before ${model}: an agent that thinks and calls two tools, whole and streamed`, async () => {
    for (const ask of [generateText, streamText]) {
      const called = [];
      const tools = Object.fromEntries(NAMES.map((name) => [name, tool({
        description: "tells",
        inputSchema: z.object({ city: z.string() }),
        execute: async (input) => (called.push([name, input]), "fine"),
      })]));
      const answer = await ask({ model: speakers[speaker](model), prompt: BOTH, tools, stopWhen: isStepCount(3), maxOutputTokens: 4000, providerOptions: THINKING[speaker] });
      // Google's client sends the name of the tool along with what it said.
      const result = (name) => (speaker === "gemini" ? JSON.stringify({ name, content: "fine" }) : "fine");
      assert.equal(await answer.text, `The tools say: ${NAMES.map(result).join("; ")}`);
      assert.deepEqual(called, CALLS);
      const steps = await answer.steps;
      assert.equal(steps.length, 2);
      assert.equal(steps[0].finishReason, "tool-calls");
      if (THINKING[speaker]) assert.equal(steps[0].reasoningText, THOUGHT);
    }
  });

  test(`${speaker} before ${model}: pictures, documents, forms, forced tools`, async () => {
    const ask = (parameters) => generateText({ model: speakers[speaker](model), ...parameters });
    const user = (mediaType, data) => [{ role: "user", content: [{ type: "text", text: "what?" }, { type: "file", mediaType, data: Buffer.from(data, "base64"), filename: "a.pdf" }] }];
    assert.equal((await ask({ messages: user("image/png", PNG) })).text, SEEN);
    assert.equal((await ask({ messages: user("application/pdf", PDF) })).text, READ);
    const formed = await ask({ prompt: "Who?", output: Output.object({ schema: z.object({ name: z.string(), age: z.number() }) }) });
    assert.deepEqual(formed.output, { name: "Zürich", age: 1.5 });
    const tools = Object.fromEntries(NAMES.map((name) => [name, tool({ description: "tells", inputSchema: z.object({ city: z.string() }) })]));
    const forced = await ask({ prompt: "Grüezi", tools, toolChoice: { type: "tool", toolName: "get_time" } });
    assert.deepEqual(forced.toolCalls.map((call) => call.toolName), ["get_time"]);
  });

  test(`${speaker} before ${model}: errors have their status`, async () => {
    for (const [name, status] of [["limited", 429], ["failing", 502]]) {
      await assert.rejects(generateText({ model: speakers[speaker](name), prompt: "x", maxRetries: 0 }), (error) => APICallError.isInstance(error) && error.statusCode === status);
    }
  });
}

test("embeddings", async () => {
  const { embeddings } = await embedMany({ model: openai.embeddingModel("embedding"), values: ["one", "two"] });
  assert.deepEqual(embeddings.map((one) => one.length), [8, 8]);
});
