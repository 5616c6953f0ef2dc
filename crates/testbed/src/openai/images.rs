//! Pictures of OpenAI: made, edited, varied. Each is a real one, of a colour that its prompt decides.

use serde_json::{Value, json};

use super::error::{body as read_body, said};
use crate::exchange::{Bill, Refusal, Reply};
use crate::media::{Kind as Medium, Media, encode, png, sniff};
use crate::multipart::Form;
use crate::script::hash;
use crate::shape::{Kind, Shape, check, opt, req};
use crate::sim::Asked;
use crate::stream::Event;
use crate::tokens::{Usage, count};

static REQUEST: Kind = Kind::Object(&Shape(&[
    req("prompt", Kind::Text),
    opt("model", Kind::Text),
    opt("n", Kind::Within(1.0, 10.0)),
    opt("size", Kind::Text),
    opt(
        "quality",
        Kind::OneOf(&["auto", "low", "medium", "high", "standard", "hd"]),
    ),
    opt("style", Kind::OneOf(&["vivid", "natural"])),
    opt("response_format", Kind::OneOf(&["url", "b64_json"])),
    opt("background", Kind::OneOf(&["auto", "transparent", "opaque"])),
    opt("moderation", Kind::OneOf(&["auto", "low"])),
    opt("output_format", Kind::OneOf(&["png", "jpeg", "webp"])),
    opt("output_compression", Kind::Within(0.0, 100.0)),
    opt("stream", Kind::Bool),
    opt("partial_images", Kind::Within(0.0, 3.0)),
    opt("user", Kind::Text),
]));
const FORM: &[&str] = &[
    "image",
    "mask",
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "response_format",
    "background",
    "output_format",
    "output_compression",
    "input_fidelity",
    "stream",
    "partial_images",
    "user",
];

struct Order {
    model: String,
    prompt: String,
    n: u64,
    format: Option<String>,
    quality: Option<String>,
    /// Tokens of pictures that were sent.
    images: u64,
    /// What its events are called, and how many unfinished pictures come before the last, if it is streamed.
    streamed: Option<(&'static str, u64)>,
}

/// Answers what is asked under `/images`.
pub(super) fn answer(asked: &Asked, kind: &str) -> Result<(Bill, Reply), Refusal> {
    match kind {
        "generations" => {
            let body = read_body(asked)?;
            check(&body, &REQUEST).map_err(|problem| said(&problem, false))?;
            let text = |name: &str| body[name].as_str().map(str::to_owned);
            made(&Order {
                model: text("model").unwrap_or_else(|| "dall-e-2".to_owned()),
                prompt: text("prompt").unwrap_or_default(),
                n: body["n"].as_u64().unwrap_or(1),
                format: text("response_format"),
                quality: text("quality"),
                images: 0,
                streamed: (body["stream"] == true)
                    .then(|| ("image_generation", body["partial_images"].as_u64().unwrap_or(0))),
            })
        }
        "edits" | "variations" => {
            let form = Form::read(asked, FORM)?;
            let file = form.file("image")?;
            if sniff(&file.data).is_none() {
                return Err(Refusal::bad(
                    "Invalid image file or mode for image 1, please check your image file.",
                )
                .at("image")
                .coded("invalid_image_file"));
            }
            let image = Media {
                kind: Medium::Image,
                mime: String::new(),
                size: file.data.len(),
            };
            let prompt = if kind == "edits" {
                form.needed("prompt")?
            } else {
                String::new()
            };
            made(&Order {
                model: form.text("model").unwrap_or_else(|| "dall-e-2".to_owned()),
                prompt: format!("{prompt}{kind}{}", file.data.len()),
                n: form.text("n").and_then(|n| n.parse().ok()).unwrap_or(1),
                format: form.text("response_format"),
                quality: form.text("quality"),
                images: image.tokens(),
                streamed: (form.text("stream").as_deref() == Some("true")).then(|| {
                    let partial = form.text("partial_images").and_then(|n| n.parse().ok());
                    ("image_edit", partial.unwrap_or(0))
                }),
            })
        }
        _ => Err(Refusal::new(404, "Invalid URL")),
    }
}

fn made(order: &Order) -> Result<(Bill, Reply), Refusal> {
    let modern = order.model.starts_with("gpt-image") || order.model.starts_with("chatgpt-image");
    if modern && order.format.is_some() {
        return Err(Refusal::bad("Unknown parameter: 'response_format'.")
            .at("response_format")
            .coded("unknown_parameter"));
    }
    if order.model == "dall-e-3" && order.n > 1 {
        return Err(Refusal::bad("You must provide n=1 for this model.").at("n"));
    }
    let encoded = modern || order.format.as_deref() == Some("b64_json");
    let data: Vec<Value> = (0..order.n)
        .map(|at| {
            let picture = encode(&png(hash(&format!("{}{at}", order.prompt))));
            if encoded {
                json!({"b64_json": picture})
            } else {
                json!({"url": format!("data:image/png;base64,{picture}")})
            }
        })
        .collect();
    let mut reply = json!({"created": 1_700_000_000, "data": data});
    let mut bill = Bill {
        model: order.model.clone(),
        ..Bill::default()
    };
    if modern {
        // What a square picture costs.
        let each = match order.quality.as_deref() {
            Some("low") => 272,
            Some("high") => 4160,
            _ => 1056,
        };
        let text = count(&order.prompt);
        let (input, output) = (text + order.images, each * order.n);
        let told = json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_tokens_details": {"text_tokens": text, "image_tokens": order.images},
            "output_tokens_details": {"text_tokens": 0, "image_tokens": output}});
        reply["usage"] = told.clone();
        reply["output_format"] = json!("png");
        reply["quality"] = json!(order.quality.as_deref().unwrap_or("medium"));
        reply["size"] = json!("1024x1024");
        bill.told = Some(told);
        bill.usage = Usage {
            input,
            output,
            image_input: order.images,
            ..Usage::default()
        };
    }
    if let (true, Some(streamed)) = (modern, order.streamed) {
        return Ok((bill, Reply::Stream(events(&reply, order, streamed))));
    }
    Ok((bill, Reply::Whole(reply)))
}

/// A picture that becomes clearer and clearer.
fn events(reply: &Value, order: &Order, (name, partial): (&str, u64)) -> Vec<Event> {
    let event = |kind: &str, mut data: Value| {
        let kind = format!("{name}.{kind}");
        data["type"] = json!(kind);
        data["created_at"] = json!(1_700_000_000);
        for shared in ["size", "quality", "output_format"] {
            data[shared] = reply[shared].clone();
        }
        data["background"] = json!("opaque");
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let mut all: Vec<Event> = (0..partial)
        .map(|at| {
            let picture = encode(&png(hash(&format!("{}{at} so far", order.prompt))));
            let data = json!({"b64_json": picture, "partial_image_index": at});
            Event::new(event("partial_image", data), 0)
        })
        .collect();
    let told = &reply["usage"];
    let last = json!({"b64_json": reply["data"][0]["b64_json"], "usage": told});
    let tokens = told["output_tokens"].as_u64().unwrap_or(0);
    all.push(Event::new(event("completed", last), tokens).telling(told));
    all
}
