//! Pictures and sound.

use serde_json::json;

use super::Scene;
use crate::harness::ledger;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_charged_by_tokens_or_by_quality_and_size() {
    let scene = Scene::set("").await;
    let modern = scene
        .ask(
            "/v1/images/generations",
            &json!({ "model": "gpt-image-1", "prompt": "a cat", "quality": "low", "n": 2 }),
        )
        .await;
    assert_eq!(modern.status, 200, "{}", modern.text());
    let charged = scene.entry(&modern);
    let (input, output) = scene.served();
    assert_eq!(
        (
            charged.usage.input,
            charged.usage.output,
            charged.usage.image_output
        ),
        (input, output, 544)
    );
    assert_eq!(
        (charged.usage.units.images_out, charged.usage_estimated),
        (2, false)
    );
    // 5 dollars a million in, 40 out.
    assert_eq!(charged.cost.nanodollars(), (input * 5_000 + 544 * 40_000) as i64);

    scene.sim.clear();
    let png = b"\x89PNG\r\n\x1a\nrest of it";
    let edited = scene
        .send_form(
            "/v1/images/edits",
            &[("prompt", "blue"), ("model", "gpt-image-1")],
            ("image:a.png", png),
        )
        .await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    let charged = scene.entry(&edited);
    assert_eq!(
        (charged.usage.input, charged.usage.image_input > 0),
        (scene.served().0, true)
    );
    assert_eq!(charged.usage.units.images_in, 1);
    let varied = scene
        .send_form(
            "/v1/images/variations",
            &[("model", "varied"), ("n", "1")],
            ("image:a.png", png),
        )
        .await;
    assert_eq!(varied.status, 200, "{}", varied.text());
    let charged = scene.entry(&varied);
    assert_eq!(
        (charged.usage.units.images_out, charged.cost.nanodollars()),
        (1, 20_000_000)
    );
    // Of a model whose images cost what their quality and size say.
    let sized = scene
        .ask(
            "/v1/images/generations",
            &json!({ "model": "z/dall-e-3", "prompt": "a cat", "quality": "hd", "size": "1024x1792" }),
        )
        .await;
    assert_eq!(sized.status, 200, "{}", sized.text());
    let pixels = 1024 * 1792;
    assert_eq!(
        scene.entry(&sized).cost.nanodollars(),
        (pixels * 71_934_300 + 500_000) / 1_000_000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_is_charged_by_characters_or_tokens() {
    let scene = Scene::set("").await;
    let said =
        json!({ "model": "tts-1", "input": "twelve chars", "voice": "alloy", "response_format": "wav" });
    let spoken = scene.ask("/v1/audio/speech", &said).await;
    assert_eq!(
        (spoken.status.as_u16(), spoken.header("content-type")),
        (200, "audio/wav")
    );
    let charged = scene.entry(&spoken);
    assert_eq!(
        (charged.usage.units.characters_in, charged.usage_estimated),
        (12, false)
    );
    assert_eq!(
        (charged.cost.nanodollars(), charged.usage.units.milliseconds_out),
        (12 * 15_000, 100)
    );

    let mut streamed = said.clone();
    streamed["model"] = json!("gpt-4o-mini-tts");
    streamed["stream_format"] = json!("sse");
    scene.sim.clear();
    let streamed = scene.ask("/v1/audio/speech", &streamed).await;
    assert!(
        streamed.text().contains("speech.audio.done"),
        "{}",
        streamed.text()
    );
    let charged = scene.entry(&streamed);
    assert_eq!(
        (charged.usage.input, charged.usage.audio_output, charged.streamed),
        (scene.served().0, scene.served().1, true)
    );
    assert_eq!(
        charged.cost.nanodollars(),
        (charged.usage.input * 600 + charged.usage.output * 12_000) as i64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_is_charged_by_seconds_or_tokens() {
    let scene = Scene::set("").await;
    let said =
        json!({ "model": "tts-1", "input": "twelve chars", "voice": "alloy", "response_format": "wav" });
    let spoken = scene.ask("/v1/audio/speech", &said).await;
    for (format, seconds, estimated) in [
        ("json", 1000, false),
        ("verbose_json", 1000, false),
        ("text", 100, false),
    ] {
        let fields = [("model", "whisper-1"), ("response_format", format)];
        let heard = scene
            .send_form("/v1/audio/transcriptions", &fields, ("file:a.wav", &spoken.body))
            .await;
        assert!(heard.text().contains("twelve chars"), "{}", heard.text());
        let charged = scene.entry(&heard);
        assert_eq!(
            (charged.usage.units.milliseconds_in, charged.usage_estimated),
            (seconds, estimated),
            "{format}"
        );
        assert_eq!(charged.cost.nanodollars(), 100 * seconds as i64, "{format}");
    }
    scene.sim.clear();
    let fields = [("model", "gpt-4o-transcribe"), ("stream", "true")];
    let heard = scene
        .send_form("/v1/audio/transcriptions", &fields, ("file:a.wav", &spoken.body))
        .await;
    assert!(heard.text().contains("transcript.text.done"), "{}", heard.text());
    let charged = scene.entry(&heard);
    assert_eq!((charged.usage.audio_input, charged.usage.output), scene.served());
    assert_eq!(
        charged.cost.nanodollars(),
        (charged.usage.input * 2_500 + charged.usage.output * 10_000) as i64
    );
    let json = scene
        .ask("/v1/audio/transcriptions", &json!({ "model": "whisper-1" }))
        .await;
    assert_eq!(json.status, 400, "{}", json.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_off_ends_with_an_error_and_is_charged_once() {
    let scene = Scene::set("").await;
    let said = json!({ "model": "breaking", "input": "some words to be said", "voice": "alloy", "stream_format": "sse" });
    let answer = scene.ask("/v1/audio/speech", &said).await;
    let told = answer.text();
    assert!(
        !told.contains("speech.audio.done") && told.contains("error"),
        "{told}"
    );
    let charged = scene.entry(&answer);
    assert_eq!(charged.outcome.as_str(), "provider_failed");
    // What had been sent is paid for, about.
    assert!(charged.usage_estimated && charged.cost.nanodollars() > 0);
    let entries = ledger(scene.folder.path());
    assert_eq!(entries.len(), 1, "{entries:?}");
}
