"""Writes small models with random weights, and what the transformers library makes of some token ids.

    pip install numpy torch transformers safetensors
    python crates/semantics/tests/parity/make.py

The folders beside this file are what it wrote; tests read them and need no Python.
"""

import json
import pathlib
import shutil

import torch
import transformers as tf
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
VOCABULARY = 96
LENGTHS = [1, 6, 45]

SMALL = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, vocab_size=VOCABULARY,
             max_position_embeddings=64)


def tokenizer(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(97 + i) for i in range(26)] + ["##" + chr(97 + i) for i in range(26)]
    vocabulary = {word: number for number, word in enumerate(words)}
    special = [{"id": i, "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i, w in enumerate(words[:5])]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary}}))


def shuffle(model, seed):
    """Weights large enough that every part of the architecture shows in the result."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn_like(value)
            if value.dim() == 1 and "norm" in name.lower() and name.endswith("weight"):
                value.copy_((0.0 if "gemma" in type(model).__name__.lower() else 1.0) + 0.2 * noise)
            else:
                value.copy_(noise * (0.5 if "embed" in name else 0.25))


def cases(model, bare):
    generator = torch.Generator().manual_seed(7)
    found = []
    for length in LENGTHS:
        ids = torch.randint(5, VOCABULARY, (1, length), generator=generator)
        mask = torch.ones_like(ids)
        with torch.no_grad():
            states = bare(input_ids=ids, attention_mask=mask).last_hidden_state[0]
            case = {"ids": ids[0].tolist(), "states": states.flatten().tolist()}
            if model is not bare:
                case["logits"] = model(input_ids=ids, attention_mask=mask).logits[0].flatten().tolist()
        for key in ("states", "logits"):
            if key in case:
                case[key] = [round(value, 5) for value in case[key]]
        found.append(case)
    return found


def write(name, model, seed, config_extra=None, only_bare=False):
    model.eval()
    shuffle(model, seed)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if config_extra:
        config = json.loads((folder / "config.json").read_text())
        for key, value in config_extra.items():
            if value is None:
                config.pop(key, None)
            else:
                config[key] = value
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    bare = model if only_bare else model.base_model
    tokenizer(folder)
    (folder / "expected.json").write_text(json.dumps({"cases": cases(model, bare)}))
    return folder


PAIRS = [("abc d", "e f"), ("", "x"), ("zz", ""), ("a quick brown fox", "jumps over"), ("e f", "abc d")]


def pairs(folder, model):
    """What the model says of pairs of texts, put together by the folder's tokenizer."""
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    found = []
    for texts in PAIRS:
        encoded = tokenizer._tokenizer.encode(*texts)
        ids, types = torch.tensor([encoded.ids]), torch.tensor([encoded.type_ids])
        with torch.no_grad():
            logits = model(input_ids=ids, token_type_ids=types, attention_mask=torch.ones_like(ids)).logits[0]
        found.append({"texts": texts, "probabilities": [round(value, 5) for value in logits.softmax(-1).tolist()]})
    (folder / "pairs.json").write_text(json.dumps(found))


def labels(count):
    return {"num_labels": count, "id2label": {i: f"class-{i}" for i in range(count)},
            "label2id": {f"class-{i}": i for i in range(count)}}


def adapter(folder, model, seed):
    """A LoRA adapter, and what the model says with it merged in."""
    torch.manual_seed(seed)
    rank, alpha = 2, 6
    tensors = {}
    with torch.no_grad():
        for name, module in model.named_modules():
            if name.endswith(("self.query", "self.value")):
                down = torch.randn(rank, module.in_features) * 0.3
                up = torch.randn(module.out_features, rank) * 0.3
                module.weight += alpha / rank * up @ down
                tensors[f"base_model.model.{name}.lora_A.weight"] = down
                tensors[f"base_model.model.{name}.lora_B.weight"] = up
        model.classifier.weight += 0.1
        model.classifier.bias += 0.1
    tensors["base_model.model.classifier.weight"] = model.classifier.weight.detach().clone()
    tensors["base_model.model.classifier.bias"] = model.classifier.bias.detach().clone()
    place = folder / "adapter"
    place.mkdir()
    save_file(tensors, place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": ["query", "value"], "bias": "none",
        "modules_to_save": ["classifier"], "fan_in_fan_out": False, "task_type": "SEQ_CLS"}))
    (place / "expected.json").write_text(json.dumps({"cases": cases(model, model.base_model)}))


def main():
    bert = tf.BertForSequenceClassification(tf.BertConfig(**SMALL, **labels(3)))
    folder = write("bert", bert, 1)
    pairs(folder, bert)
    adapter(folder, bert, 21)
    write("bert-tokens", tf.BertForTokenClassification(tf.BertConfig(**SMALL, **labels(5))), 2)
    write("bert-plain", tf.BertModel(tf.BertConfig(**SMALL)), 3, only_bare=True)
    write("roberta", tf.RobertaForSequenceClassification(tf.RobertaConfig(**SMALL, type_vocab_size=1, **labels(2))), 4)
    write("xlm-roberta", tf.XLMRobertaForTokenClassification(tf.XLMRobertaConfig(**SMALL, type_vocab_size=1, **labels(4))), 5)
    write("distilbert", tf.DistilBertForSequenceClassification(tf.DistilBertConfig(
        dim=32, hidden_dim=40, n_layers=2, n_heads=4, vocab_size=VOCABULARY, max_position_embeddings=64, **labels(3))), 6)
    modern = dict(SMALL, num_hidden_layers=4, local_attention=8, pad_token_id=0, bos_token_id=2, eos_token_id=3,
                  cls_token_id=2, sep_token_id=3, attn_implementation="eager")
    write("modernbert", tf.ModernBertForSequenceClassification(tf.ModernBertConfig(
        **modern, classifier_pooling="mean", **labels(3))), 7)
    # As older releases wrote it: the key of every third layer, thetas beside each other.
    write("mmbert-tokens", tf.ModernBertForTokenClassification(tf.ModernBertConfig(
        **modern, global_rope_theta=160000.0, local_rope_theta=160000.0, **labels(5))), 8,
        {"layer_types": None, "rope_parameters": None, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
         "local_rope_theta": 160000.0})
    v3 = dict(SMALL, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
              pos_att_type=["p2c", "c2p"], position_biased_input=False, max_relative_positions=-1, type_vocab_size=0,
              pooler_hidden_size=32)
    deberta = tf.DebertaV2ForSequenceClassification(tf.DebertaV2Config(**v3, **labels(3)))
    pairs(write("deberta-v3", deberta, 9), deberta)
    v2 = dict(v3, share_att_key=False, position_buckets=-1, max_relative_positions=24, position_biased_input=True,
              type_vocab_size=2, norm_rel_ebd="none", embedding_size=16)
    write("deberta-v2-tokens", tf.DebertaV2ForTokenClassification(tf.DebertaV2Config(**v2, **labels(4))), 10)
    deberta = tf.DebertaV2ForSequenceClassification(tf.DebertaV2Config(**v2, **labels(3)))
    pairs(write("deberta-v2-pairs", deberta, 13), deberta)
    write("qwen3", tf.Qwen3Model(tf.Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=12)), 11, only_bare=True)
    gemma = write("embedding-gemma", tf.Gemma3TextModel(tf.Gemma3TextConfig(
        **dict(SMALL, num_hidden_layers=3), num_key_value_heads=1, head_dim=12, use_bidirectional_attention=True,
        sliding_window=10, sliding_window_pattern=3, query_pre_attn_scalar=16, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        attn_implementation="eager")), 12, only_bare=True)
    sentence(gemma)


def sentence(folder):
    """What sentence-transformers puts behind a model: mean, two linear layers, length 1."""
    torch.manual_seed(31)
    expected = json.loads((folder / "expected.json").read_text())
    modules = [("0", "", "sentence_transformers.models.Transformer"), ("1", "1_Pooling", "sentence_transformers.models.Pooling"),
               ("2", "2_Dense", "sentence_transformers.models.Dense"), ("3", "3_Dense", "sentence_transformers.models.Dense"),
               ("4", "4_Normalize", "sentence_transformers.models.Normalize")]
    (folder / "modules.json").write_text(json.dumps(
        [{"idx": int(i), "name": i, "path": path, "type": kind} for i, path, kind in modules]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
    weights = []
    for number, (inputs, outputs) in ((2, (32, 48)), (3, (48, 32))):
        place = folder / f"{number}_Dense"
        place.mkdir()
        weights.append(torch.randn(outputs, inputs) * 0.3)
        save_file({"linear.weight": weights[-1]}, place / "model.safetensors")
        (place / "config.json").write_text(json.dumps({"in_features": inputs, "out_features": outputs, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity"}))
    for case in expected["cases"]:
        states = torch.tensor(case["states"]).reshape(-1, 32)
        vector = weights[1] @ (weights[0] @ states.mean(0))
        case["vector"] = [round(value, 5) for value in (vector / vector.norm()).tolist()]
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
