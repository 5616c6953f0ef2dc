//! A damaged, cut-off or mislabelled folder gives an error that names what is wrong, and never a model.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use pointsman_semantics::load::{Options, load};
use serde_json::{Value, json};

/// A copy of a good folder, to be spoilt.
struct Copy(tempfile::TempDir);

fn original(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parity")
        .join(name)
}

impl Copy {
    fn of(name: &str) -> Self {
        let target = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::copy(original(name).join(file), target.path().join(file)).unwrap();
        }
        Self(target)
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(file), bytes).unwrap();
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(file)).unwrap()
    }

    fn set(&self, key: &str, value: Value) {
        let mut config: Value = serde_json::from_slice(&self.read("config.json")).unwrap();
        config[key] = value;
        self.write("config.json", &serde_json::to_vec(&config).unwrap());
    }

    fn error(&self) -> String {
        load(self.0.path(), &Options::default()).unwrap_err().to_string()
    }
}

/// The header of a safetensors file, and its data.
fn opened(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (
        serde_json::from_slice(&bytes[8..8 + length]).unwrap(),
        bytes[8 + length..].to_vec(),
    )
}

fn closed(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    bytes
}

#[test]
fn weights_cut_anywhere_are_refused() {
    for name in ["bert", "modernbert"] {
        let copy = Copy::of(name);
        let whole = copy.read("model.safetensors");
        let ends = (0..200)
            .chain((200..whole.len()).step_by(1_009))
            .chain([whole.len() - 1]);
        for end in ends {
            copy.write("model.safetensors", &whole[..end]);
            assert!(
                copy.error().starts_with("model.safetensors: "),
                "{}",
                copy.error()
            );
        }
    }
}

#[test]
fn any_byte_of_the_header_may_be_wrong() {
    let copy = Copy::of("bert");
    let whole = copy.read("model.safetensors");
    for place in (0..3_000).step_by(7) {
        let mut spoilt = whole.clone();
        spoilt[place] ^= 0x15;
        copy.write("model.safetensors", &spoilt);
        // A letter within metadata may change without harm; nothing may panic.
        let _ = load(copy.0.path(), &Options::default());
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let copy = Copy::of("bert");
    let (mut header, data) = opened(&copy.read("model.safetensors"));
    let name = "bert.encoder.layer.1.attention.self.key.weight";
    let entry = header.as_object_mut().unwrap().remove(name).unwrap();
    header["bert.encoder.layer.1.attention.self.kay.weight"] = entry;
    copy.write("model.safetensors", &closed(&header, &data));
    assert!(
        copy.error().starts_with(&format!("tensor `{name}` is missing")),
        "{}",
        copy.error()
    );
}

#[test]
fn a_shape_that_differs_from_the_settings_is_named() {
    let copy = Copy::of("bert");
    copy.set("intermediate_size", json!(48));
    assert_eq!(
        copy.error(),
        "tensor `bert.encoder.layer.0.intermediate.dense.weight` has shape [40, 32], but the configuration asks for [48, 32]"
    );
    let copy = Copy::of("bert");
    copy.set("id2label", json!({"0": "a", "1": "b"}));
    assert_eq!(
        copy.error(),
        "tensor `classifier.weight` has shape [3, 32], but the configuration asks for [2, 32]"
    );
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let copy = Copy::of("bert");
    let (header, mut data) = opened(&copy.read("model.safetensors"));
    let name = "bert.encoder.layer.0.output.dense.weight";
    let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    data[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    copy.write("model.safetensors", &closed(&header, &data));
    assert!(
        copy.error().contains(name) && copy.error().contains("no numbers"),
        "{}",
        copy.error()
    );
}

#[test]
fn settings_that_say_nonsense_name_the_key() {
    for (key, value) in [
        ("hidden_size", json!(0)),
        ("hidden_size", json!("wide")),
        ("hidden_size", json!(1e30)),
        ("num_attention_heads", json!(5)),
        ("num_hidden_layers", json!(-1)),
        ("hidden_act", json!("mish")),
        ("layer_norm_eps", json!("small")),
        ("model_type", json!("mamba")),
        ("position_embedding_type", json!("relative_key")),
        ("id2label", json!({"0": "a", "2": "b", "1": 7})),
    ] {
        let copy = Copy::of("bert");
        copy.set(key, value.clone());
        assert!(
            copy.error().starts_with(&format!("config.json: `{key}`")),
            "{key} {value}: {}",
            copy.error()
        );
    }
    let copy = Copy::of("modernbert");
    copy.set("layer_types", json!(["full_attention"]));
    assert!(
        copy.error().contains("`layer_types` has 1 entries for 4 layers"),
        "{}",
        copy.error()
    );
}

#[test]
fn more_layers_than_the_weights_have_are_refused() {
    let copy = Copy::of("bert");
    copy.set("num_hidden_layers", json!(9_999_999));
    assert!(
        copy.error().starts_with("tensor `bert.encoder.layer.2."),
        "{}",
        copy.error()
    );
}

#[test]
fn fewer_layers_than_the_weights_have_are_refused() {
    for (name, key) in [
        ("bert", "num_hidden_layers"),
        ("distilbert", "n_layers"),
        ("qwen3", "num_hidden_layers"),
    ] {
        let copy = Copy::of(name);
        copy.set(key, json!(1));
        assert!(
            copy.error().contains("of which the configuration knows nothing"),
            "{name}: {}",
            copy.error()
        );
    }
}

#[test]
fn a_model_labelled_as_another_is_refused() {
    for (name, wrong) in [
        ("bert", "roberta"),
        ("roberta", "bert"),
        ("deberta-v3", "bert"),
        ("qwen3", "gemma3_text"),
    ] {
        let copy = Copy::of(name);
        copy.set("model_type", json!(wrong));
        assert!(
            copy.error().contains("`architectures` says"),
            "{name}: {}",
            copy.error()
        );
        copy.set("architectures", json!(null));
        // Without the class's name, its tensors' names tell.
        assert!(
            load(copy.0.path(), &Options::default()).is_err(),
            "{name} as {wrong}"
        );
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let copy = Copy::of("bert");
    let mut tokenizer: Value = serde_json::from_slice(&copy.read("tokenizer.json")).unwrap();
    tokenizer["model"]["vocab"]["zebra"] = json!(4_000);
    copy.write("tokenizer.json", &serde_json::to_vec(&tokenizer).unwrap());
    assert!(
        copy.error()
            .starts_with("tokenizer.json: has pieces up to number 4000"),
        "{}",
        copy.error()
    );
    copy.write("tokenizer.json", b"{\"model\"");
    assert!(copy.error().starts_with("tokenizer.json: "), "{}", copy.error());
    std::fs::remove_file(copy.0.path().join("tokenizer.json")).unwrap();
    assert!(copy.error().contains("tokenizer.json"), "{}", copy.error());
}

#[test]
fn an_empty_folder_says_which_file_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let options = Options {
        adapters: vec![original("bert").join("adapter")],
        ..Options::default()
    };
    let error = load(&original("distilbert"), &options).unwrap_err().to_string();
    assert!(error.contains("which the model lacks"), "{error}");
}

#[test]
fn shards_must_lie_in_the_folder() {
    let copy = Copy::of("bert");
    copy.write(
        "model.safetensors.index.json",
        &serde_json::to_vec(&json!({"weight_map": {"a": "../../etc/passwd"}})).unwrap(),
    );
    assert!(copy.error().contains("`weight_map` names"), "{}", copy.error());
    copy.write(
        "model.safetensors.index.json",
        &serde_json::to_vec(&json!({"weight_map": {"a": "model.safetensors"}})).unwrap(),
    );
    load(copy.0.path(), &Options::default()).unwrap();
}

/// A copy of the adapter, to be spoilt.
fn adapter() -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(
            original("bert").join("adapter").join(file),
            target.path().join(file),
        )
        .unwrap();
    }
    target
}

fn with_adapter(adapter: &Path) -> String {
    let options = Options {
        adapters: vec![adapter.to_owned()],
        ..Options::default()
    };
    load(&original("bert"), &options).unwrap_err().to_string()
}

#[test]
fn an_adapter_that_says_what_it_is_not_is_refused() {
    for (key, value, told) in [
        (
            "r",
            json!(3),
            "has shape [2, 32], but the configuration asks for [3, 32]",
        ),
        ("r", json!(0), "`r` is 0"),
        ("rank_pattern", json!({"query": 4}), "`rank_pattern` is set"),
        ("alpha_pattern", json!({"query": 4}), "`alpha_pattern` is set"),
        ("peft_type", json!("IA3"), "`peft_type` is `IA3`"),
        ("use_dora", json!(true), "`peft_type`"),
        ("fan_in_fan_out", json!(true), "`fan_in_fan_out` is true"),
        ("lora_alpha", json!("six"), "`lora_alpha` is"),
    ] {
        let target = adapter();
        let path = target.path().join("adapter_config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        let error = with_adapter(target.path());
        assert!(error.contains(told), "{key}: {error}");
    }
}

#[test]
fn an_adapter_that_brings_what_nobody_uses_or_is_cut_off_is_refused() {
    let target = adapter();
    let path = target.path().join("adapter_model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let (mut header, data) = opened(&whole);
    let entry = header
        .as_object_mut()
        .unwrap()
        .remove("base_model.model.classifier.bias")
        .unwrap();
    header["base_model.model.score.bias"] = entry;
    std::fs::write(&path, closed(&header, &data)).unwrap();
    let error = with_adapter(target.path());
    assert!(
        error.contains("brings `score.bias`, which this architecture does not use"),
        "{error}"
    );
    for end in (0..whole.len()).step_by(411) {
        std::fs::write(&path, &whole[..end]).unwrap();
        let error = with_adapter(target.path());
        assert!(error.starts_with("adapter_model.safetensors: "), "{error}");
    }
}

#[test]
fn a_tensor_that_is_in_two_shards_is_refused() {
    let copy = Copy::of("bert");
    let (mut header, data) = opened(&copy.read("model.safetensors"));
    let name = "classifier.bias";
    header = json!({name: header[name].take()});
    let range = header[name]["data_offsets"].clone();
    let (start, end) = (
        range[0].as_u64().unwrap() as usize,
        range[1].as_u64().unwrap() as usize,
    );
    header[name]["data_offsets"] = json!([0, end - start]);
    copy.write("second.safetensors", &closed(&header, &data[start..end]));
    let map = json!({"weight_map": {"a": "model.safetensors", name: "second.safetensors"}});
    copy.write("model.safetensors.index.json", &serde_json::to_vec(&map).unwrap());
    assert!(
        copy.error()
            .contains("has `classifier.bias`, as another file has"),
        "{}",
        copy.error()
    );
    // And one that the index names and nobody has.
    copy.write(
        "model.safetensors.index.json",
        &serde_json::to_vec(&json!({"weight_map": {"a": "third.safetensors"}})).unwrap(),
    );
    assert!(copy.error().contains("third.safetensors"), "{}", copy.error());
}

#[test]
fn any_cut_of_the_other_files_is_an_error_that_names_the_file() {
    for (name, file) in [
        ("bert", "config.json"),
        ("bert", "tokenizer.json"),
        ("modernbert", "config.json"),
    ] {
        let copy = Copy::of(name);
        let whole = copy.read(file);
        for end in (0..whole.len() - 1).step_by(37) {
            copy.write(file, &whole[..end]);
            assert!(copy.error().starts_with(&format!("{file}: ")), "{}", copy.error());
        }
    }
}
