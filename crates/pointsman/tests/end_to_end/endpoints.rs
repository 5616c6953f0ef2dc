//! What there is beside chat: every surface before every kind of provider, and what is charged for it.

mod embeddings;
mod media;
mod rankings;
mod road;
mod tokens;

use http::{HeaderMap, Method, Request, header};
use pointsman_store::{LedgerEntry, NewKey};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, exchange, folder, key, send};

struct Scene {
    sim: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn set(rest: &str) -> Self {
        Self::set_for(NewKey::default(), rest).await
    }

    /// For a caller of this kind.
    async fn set_for(grant: NewKey, rest: &str) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            r#"
providers:
  o: {{ kind: openai, base_url: "http://{at}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  g: {{ kind: gemini, base_url: "http://{at}", auth: {{ api_key: AIza-sim }}, retry: {{ attempts: 1 }} }}
  b: {{ kind: aws-bedrock, base_url: "http://{at}", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }}, retry: {{ attempts: 1 }} }}
  c: {{ kind: cohere, base_url: "http://{at}", auth: {{ api_key: co-sim }}, retry: {{ attempts: 1 }} }}
  v: {{ kind: gcp-vertex, base_url: "http://{at}", project: p, location: us-central1, auth: {{ api_key: ya29.sim }}, retry: {{ attempts: 1 }} }}
  l: {{ kind: vllm, base_url: "http://{at}/fleet/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  z: {{ kind: azure-openai, base_url: "http://{at}/v1", headers: {{ authorization: "Bearer sk-sim" }}, auth: {{ api_key: az-sim }}, retry: {{ attempts: 1 }} }}
  t: {{ kind: tei, base_url: "http://{at}", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
models:
  on-openai: {{ targets: [ {{ provider: o, model: text-embedding-3-small }} ] }}
  on-cohere: {{ targets: [ {{ provider: c, model: embed-v4.0 }} ] }}
  on-gemini: {{ targets: [ {{ provider: g, model: gemini-embedding-001 }} ] }}
  on-titan: {{ targets: [ {{ provider: b, model: "amazon.titan-embed-text-v2:0" }} ] }}
  on-bedrock-cohere: {{ targets: [ {{ provider: b, model: cohere.embed-english-v3 }} ] }}
  on-vertex: {{ targets: [ {{ provider: v, model: text-embedding-005 }} ] }}
  on-vllm: {{ targets: [ {{ provider: l, model: bge }} ], price: {{ input: 1, output: 0 }} }}
  on-tei: {{ targets: [ {{ provider: t, model: bge }} ], price: {{ input: 1, output: 0 }} }}
  rank-cohere: {{ targets: [ {{ provider: c, model: rerank-v3.5 }} ] }}
  rank-vllm: {{ targets: [ {{ provider: l, model: ranker }} ], price: {{ input: 2, output: 0 }} }}
  rank-tei: {{ targets: [ {{ provider: t, model: ranker }} ], price: {{ input: 2, output: 0 }} }}
  rank-bedrock: {{ targets: [ {{ provider: b, model: "amazon.rerank-v1:0" }} ] }}
  varied: {{ targets: [ {{ provider: o, model: dall-e-2 }} ], price: {{ per_image_output: 0.02 }} }}
  breaking: {{ targets: [ {{ provider: o, model: "gpt-4o-mini-tts+fault=cut-clean" }} ], price: {{ input: 1, audio_output: 10 }} }}
  gpt: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }}
  claude: {{ targets: [ {{ provider: b, model: "anthropic.claude-haiku-4-5-20251001-v1:0" }} ] }}
{rest}"#
        ));
        let key = key(folder.path(), grant);
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            house,
            key,
        }
    }

    async fn ask(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", self.key))
            .body(body.to_string())
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    /// A form with one file.
    async fn send_form(&self, path: &str, fields: &[(&str, &str)], (name, file): (&str, &[u8])) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
            );
        }
        let (field, file_name) = name.split_once(':').unwrap();
        body.extend(
            format!(
                "--xx\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\n\r\n"
            )
            .bytes(),
        );
        body.extend(file);
        body.extend(b"\r\n--xx--\r\n");
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {}", self.key).parse().unwrap(),
        );
        headers.insert(
            header::CONTENT_TYPE,
            "multipart/form-data; boundary=xx".parse().unwrap(),
        );
        exchange(self.house.address, Method::POST, path, headers, body.into())
            .await
            .unwrap()
    }

    fn entry(&self, answer: &Answer) -> LedgerEntry {
        entry(self.folder.path(), answer.header("x-request-id"))
    }

    /// Prompt and answer tokens, as the providers say.
    fn served(&self) -> (u64, u64) {
        let served = self.sim.served();
        served
            .iter()
            .fold((0, 0), |all, one| (all.0 + one.input, all.1 + one.output))
    }
}
