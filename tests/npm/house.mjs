// A gateway in front of a simulated provider of every format, and what its callers say and should hear.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.POINTSMAN ?? "pointsman";

export const BOTH = "What is the weather in Paris and the time in Tokyo?";
export const CALLS = [["get_weather", { city: "Paris" }], ["get_time", { city: "Tokyo" }]];
export const NAMES = ["get_weather", "get_time"];
export const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
export const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};
export const SOMEONE = { name: "Zürich", age: 7 };
export const THOUGHT = "Let me think about this.";
export const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const SEEN = `I see 1 image(s): image/png of ${Buffer.from(PNG, "base64").length} bytes`;
export const PDF = Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n").toString("base64");
export const READ = `I read 1 document(s): application/pdf of ${Buffer.from(PDF, "base64").length} bytes`;

const configuration = (folder, sim) => `
listeners: { api: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
stores: { database: "sqlite://${folder}/p.db", blobs: "file://${folder}" }
providers:
  o: { kind: openai, base_url: "http://${sim}/v1", auth: { api_key: sk-sim }, retry: { attempts: 1 } }
  a: { kind: anthropic, base_url: "http://${sim}", auth: { api_key: sk-sim }, retry: { attempts: 1 } }
  g: { kind: gemini, base_url: "http://${sim}/v1beta", auth: { api_key: sk-sim }, retry: { attempts: 1 } }
  b: { kind: aws-bedrock, base_url: "http://${sim}", region: eu-west-1, auth: { api_key: sk-sim }, retry: { attempts: 1 } }
  # Never rested: every test sees its own fault.
  faulty: { kind: openai, base_url: "http://${sim}/v1", auth: { api_key: sk-sim }, retry: { attempts: 1 },
            health: { consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms } }
models:
  on-chat: { targets: [ { provider: o, model: reason-1, format: openai-chat } ] }
  on-responses: { targets: [ { provider: o, model: gpt-5-mini, format: openai-responses } ] }
  on-messages: { targets: [ { provider: a, model: claude-haiku-4-5 } ] }
  on-gemini: { targets: [ { provider: g, model: gemini-3-flash, format: gemini } ] }
  on-converse: { targets: [ { provider: b, model: "eu.anthropic.claude-haiku-4-5-20251001-v1:0", format: bedrock-converse } ] }
  embedding: { targets: [ { provider: o, model: text-embedding-3-small } ] }
  limited: { targets: [ { provider: faulty, model: "m+fault=rate-limited:1" } ] }
  failing: { targets: [ { provider: faulty, model: "m+fault=status:500" } ] }
  broken: { targets: [ { provider: faulty, model: "m+fault=cut-clean" } ] }
`;

// Starts it; `close` ends it.
export async function open() {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-npm-"));
  const children = [];
  const start = (pattern, ...parameters) => {
    const child = spawn(BINARY, parameters, { stdio: ["ignore", "pipe", "ignore"] });
    children.push(child);
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const found = pattern.exec(line);
        if (found) resolve(found[1]);
      });
      child.on("exit", () => reject(new Error(`${parameters.join(" ")} ended`)));
      child.on("error", reject);
    });
  };
  const sim = await start(/http:\/\/(\S+)/, "sim", "--address", "127.0.0.1:0");
  const file = join(folder, "pointsman.yaml");
  writeFileSync(file, configuration(folder, sim));
  const make = (...options) => execFileSync(BINARY, ["key", "create", "-c", file, ...options], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  const key = make("--name", "npm");
  const narrow = make("--model", "embedding");
  const address = await start(/listening on (\S+)/, "serve", "-c", file);
  return {
    url: `http://${address}`,
    key,
    // For embeddings only.
    narrow,
    close() {
      children.forEach((child) => child.kill());
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
