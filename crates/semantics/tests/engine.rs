//! The engine as a whole, on a small file of random weights: stages, windows, spans, embeddings; damage is noticed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use pointsman_semantics::classify::{Across, Calibration, NgramHead, NgramModel, NgramRoom};
use pointsman_semantics::engine::{Engine, EngineRoom, Question, Stage};
use pointsman_semantics::service::{Service, Settings};
use serde_json::{Value, json};

#[path = "engine/small.rs"]
mod small;

use small::{BESIDE_BIAS, BESIDE_SCALES, JOINT, beside_codes, file, settings};

fn engine() -> Engine {
    Engine::from_file("model.pm", &file(settings())).unwrap()
}

const TEXTS: [&str; 5] = [
    "abc def.",
    "",
    "a b c d e f g h i j k l m n o p q a b c d e f g h i j k l m n o p q",
    "égal … ÀB\u{0}c 中",
    "hijack pied beef. cab: dab?",
];

#[test]
fn a_text_is_read_alike_alone_and_in_company() {
    let engine = engine();
    let question = Question {
        thorough: true,
        ..engine.everything()
    };
    let all: Vec<(&str, &Question)> = TEXTS.iter().map(|text| (*text, &question)).collect();
    let together = engine.read(&all, &mut EngineRoom::default());
    let mut room = EngineRoom::default();
    for (text, reading) in TEXTS.iter().zip(&together) {
        assert_eq!(
            engine.read(&[(text, &question)], &mut room)[0],
            *reading,
            "{text}"
        );
        assert_eq!(reading.answers.len(), 2);
        assert_eq!(reading.answers[1].1.probabilities.len(), 3);
        let guard = &reading.answers[0].1.probabilities;
        assert!((guard.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let vector = reading.embedding.as_ref().unwrap();
        assert!(
            (vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4,
            "{text}"
        );
        for found in &reading.spans {
            assert!(!text[found.span.start..found.span.end].is_empty());
        }
    }
}

#[test]
fn what_the_first_stage_is_sure_of_needs_no_encoder() {
    let engine = engine();
    let question = Question {
        heads: vec![engine.head("guard").unwrap()],
        spans: false,
        embedding: false,
        thorough: false,
    };
    let mut stages = [0, 0];
    let mut room = EngineRoom::default();
    for first in 'a'..='q' {
        for second in 'a'..='q' {
            let text = format!("{first}{second}ab");
            let reading = &engine.read(&[(&text, &question)], &mut room)[0];
            let (_, answer, stage) = &reading.answers[0];
            stages[*stage as usize] += 1;
            let sure = answer.probabilities[1] <= 0.2 || answer.probabilities[1] >= 0.8;
            match stage {
                Stage::First => assert!(sure && reading.tokens == 0),
                Stage::Encoder => assert!(reading.tokens > 0),
            }
        }
    }
    assert!(stages[0] > 20 && stages[1] > 20, "{stages:?}");
}

/// Settings of a guard whose labels hold each by itself, and of n-grams beside its stages.
fn settings_with_beside() -> Value {
    let mut settings = settings();
    settings["heads"][0]["calibration"] = json!({"platt": [[1.0, 0.0], [1.5, -0.25]]});
    settings["heads"][0]["beside"] = json!({"head": "far", "tongue": "tongue", "calm": 0.25, "doubt": 1.5});
    settings["beside"] = json!({"bits": 8, "runs": [2, 3], "stretch": 64, "columns": 4, "heads": [
        {"name": "far", "labels": ["benign", "attack"], "first_column": 0, "across": "any",
            "calibration": {"platt": [[1.0, 0.0], [2.0, 0.5]]}},
        {"name": "tongue", "labels": ["other", "english"], "first_column": 2, "across": "any",
            "calibration": {"platt": [[1.0, 0.0], [1.0, 0.0]]}},
    ]});
    settings
}

/// The n-grams beside both stages, by themselves.
fn beside() -> NgramModel {
    let weights = (beside_codes(), BESIDE_SCALES.to_vec(), BESIDE_BIAS.to_vec());
    let head = |name: &str, labels: [&str; 2], columns, calibration| NgramHead {
        name: name.to_owned(),
        labels: labels.map(str::to_owned).to_vec(),
        columns,
        across: Across::Any,
        calibration: Calibration::Platt(calibration),
        points: Vec::new(),
    };
    let heads = vec![
        head("far", ["benign", "attack"], 0..2, vec![(1.0, 0.0), (2.0, 0.5)]),
        head("tongue", ["other", "english"], 2..4, vec![(1.0, 0.0); 2]),
    ];
    let model = NgramModel::new(8, &[2, 3], weights, heads).unwrap();
    model.in_stretches(64).unwrap()
}

#[test]
fn what_is_said_beside_counts_where_another_language_is_spoken() {
    let model = beside();
    let with = Engine::from_file("model.pm", &file(settings_with_beside())).unwrap();
    let mut alone = settings_with_beside();
    alone["heads"][0].as_object_mut().unwrap().remove("beside");
    let alone = Engine::from_file("model.pm", &file(alone)).unwrap();
    let (mut room, mut same, mut raised, mut lowered) = (EngineRoom::default(), 0, 0, 0);
    for (thorough, heads) in [(false, vec![0, 1]), (true, vec![0, 1]), (false, vec![0])] {
        let question = Question {
            heads,
            spans: false,
            embedding: false,
            thorough,
        };
        let long = "dab ".repeat(40);
        let more = ["ab", "cab", "q q", "zz top", "ha ha ha", &long];
        for text in TEXTS.iter().copied().chain(more) {
            let (got, before) = (
                &with.read(&[(text, &question)], &mut room)[0],
                &alone.read(&[(text, &question)], &mut room)[0],
            );
            let said = model.read(text, &mut NgramRoom::default());
            let (other, english) = (said[1].logits[0] > 0.0, said[1].logits[1] > 0.0);
            let doubted = !english && said[0].probabilities[0] <= 0.25;
            let (got_now, got_before) = (&got.answers[0].1, &before.answers[0].1);
            for (label, said) in said[0].probabilities.iter().enumerate() {
                let (now, was) = (got_now.probabilities[label], got_before.probabilities[label]);
                let less = was / (was + (1.0 - was) * 1.5_f32.exp());
                let want = match (other, doubted) {
                    (false, _) => was,
                    (true, false) => was.max(*said),
                    (true, true) => less.max(*said),
                };
                assert!((now - want).abs() < 1e-6, "{text}: {now} and not {want}");
                same += usize::from(!other);
                raised += usize::from(now > was);
                lowered += usize::from(now < was);
            }
            // Nothing else is touched.
            assert_eq!(got_now.logits, got_before.logits);
            assert_eq!(got.answers[1..], before.answers[1..]);
            assert_eq!(
                (got.answers[0].2, got.tokens),
                (before.answers[0].2, before.tokens)
            );
        }
    }
    assert!(same > 3 && raised > 3 && lowered > 1, "{same} {raised} {lowered}");
}

#[test]
fn a_stage_beside_that_does_not_fit_is_refused() {
    for (path, value, told) in [
        (
            "/heads/0/beside/head",
            json!("other"),
            "the stage beside has no head `other`",
        ),
        (
            "/heads/0/beside/tongue",
            json!("far off"),
            "the stage beside has no head `far off`",
        ),
        (
            "/heads/0/beside/head",
            json!("tongue"),
            "labels are not those of the stage beside",
        ),
        (
            "/heads/0/beside/doubt",
            json!(-1.0),
            "`doubt` is not between 0 and 20",
        ),
        (
            "/heads/0/calibration",
            json!({"temperature": 1.0}),
            "`beside` is for labels that hold each by itself",
        ),
        ("/beside/stretch", json!(63), "stretches of 63 bytes"),
        ("/beside/bits", json!(7), "`beside.bits` is not between 8 and 24"),
        ("/beside/bits", json!(9), "tensor `beside`"),
    ] {
        let mut changed = settings_with_beside();
        let (inside, key) = path.rsplit_once('/').unwrap();
        changed.pointer_mut(inside).unwrap()[key] = value;
        let error = Engine::from_file("model.pm", &file(changed))
            .unwrap_err()
            .to_string();
        assert!(error.contains(told), "{path}: {error}");
    }
}

#[test]
fn only_what_is_asked_is_answered() {
    let engine = engine();
    let question = Question {
        heads: vec![1],
        spans: false,
        embedding: false,
        thorough: false,
    };
    let reading = &engine.read(&[(TEXTS[2], &question)], &mut EngineRoom::default())[0];
    assert!(reading.spans.is_empty() && reading.embedding.is_none());
    assert_eq!(reading.answers.len(), 1);
    assert_eq!(reading.answers[0].2, Stage::Encoder);
    assert_eq!(reading.tokens, 34);
    assert_eq!(engine.heads()[0].0.threshold("fpr_1pct", "attack"), Some(0.9));
}

/// Settings with this value are refused with these words.
fn is_refused(path: &str, value: Value, told: &str) {
    let mut changed = settings();
    let (inside, key) = path.rsplit_once('/').unwrap();
    changed.pointer_mut(inside).unwrap()[key] = value;
    let error = Engine::from_file("model.pm", &file(changed))
        .unwrap_err()
        .to_string();
    assert!(error.contains(told), "{path}: {error}");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    for (path, value, told) in [
        ("/encoder/width", json!(30), "sides that do not fit together"),
        ("/encoder/blocks", json!(4), "tensor `block.3."),
        (
            "/encoder/vocabulary",
            json!(38),
            "39 words in the vocabulary, but 38 rows",
        ),
        ("/heads/0/exit", json!(4), "reads behind block 4 of 3"),
        (
            "/heads/0/labels",
            json!(["benign", "bad"]),
            "labels are not those of the first stage",
        ),
        (
            "/heads/0/first",
            json!("other"),
            "the first stage has no head `other`",
        ),
        ("/heads/0/points/0/label", json!("x"), "which it lacks"),
        (
            "/heads/1/layers",
            json!([["topic.0", 4]]),
            "tensor `topic.0` has shape [3, 32]",
        ),
        (
            "/heads/1/calibration",
            json!({"platt": []}),
            "0 slopes for 3 labels",
        ),
        ("/taggers/0/exit", json!(0), "reads behind no block"),
        ("/taggers/0/labels", json!(["O", "B-X", "NAME"]), "labels must be"),
        ("/embedding/exit", json!(9), "`embedding.exit` is no block"),
        ("/ngrams/bits", json!(60), "`ngrams.bits`"),
        (
            "/ngrams/heads/0/first_column",
            json!(1),
            "columns 1..3 for 2 labels",
        ),
        ("/encoder/epsilon", json!(-1.0), "`encoder.epsilon` is not"),
        (
            "/taggers/0/threshold",
            json!(1.5),
            "`threshold` is no probability",
        ),
        ("/window", json!(33), "`window` or `overlap`"),
        ("/window", json!("wide"), "settings: "),
    ] {
        is_refused(path, value, told);
    }
}

#[test]
fn joints_that_do_not_fit_are_refused() {
    for (from, told) in [
        (
            json!([["first", "topic"]]),
            "`joint` names `topic`, which is no head of that stage",
        ),
        (
            json!([["encoder", "topic"]]),
            "tensor `guard.joint` has shape [2, 7]",
        ),
        (json!([]), "tensor `guard.joint` has shape [2, 7]"),
        (json!([["last", "topic"]]), "settings: "),
    ] {
        let joint = json!({"from": from, "layer": "guard.joint"});
        is_refused("/heads/0/joint", joint, told);
    }
}

#[test]
fn a_head_listens_to_others_that_nobody_asks() {
    let mut with = settings();
    with["heads"][0]["joint"] = json!({"from": [["encoder", "guard"], ["encoder", "topic"], ["first", "guard"]],
        "layer": "guard.joint"});
    let joined = Engine::from_file("model.pm", &file(with)).unwrap();
    let mut without = settings();
    without["heads"][0]["first"] = json!(null);
    let apart = Engine::from_file("model.pm", &file(without)).unwrap();
    let mut room = EngineRoom::default();
    for text in TEXTS {
        let asked = |heads: Vec<usize>| Question {
            heads,
            spans: false,
            embedding: false,
            thorough: true,
        };
        let both = &apart.read(&[(text, &asked(vec![0, 1]))], &mut room)[0];
        let mut input = both.answers[0].1.logits.clone();
        input.extend(&both.answers[1].1.logits);
        input.extend(&joined.first_answers(text, &mut room)[0].1.logits);
        let expected = [(0, 0.25), (1, -0.5)].map(|(label, bias)| {
            let row = &JOINT[label * 7..(label + 1) * 7];
            row.iter()
                .zip(&input)
                .map(|(weight, logit)| weight * logit)
                .sum::<f32>()
                + bias
        });
        let reading = &joined.read(&[(text, &asked(vec![0]))], &mut room)[0];
        assert_eq!(reading.answers.len(), 1);
        for (found, expected) in reading.answers[0].1.logits.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-3, "{text}: {found}, not {expected}");
        }
        // Who asks for both gets both, and the same.
        let all = &joined.read(&[(text, &asked(vec![1, 0]))], &mut room)[0];
        assert_eq!(all.answers[1], reading.answers[0]);
        assert_eq!(all.answers[0].1, both.answers[1].1);
    }
}

#[test]
fn long_and_odd_texts_are_read_whole() {
    let engine = engine();
    let question = engine.everything();
    let mut room = EngineRoom::default();
    for unit in ["abc ", "a", "\u{300}", "中", "!", "\u{0}", " "] {
        let text = unit.repeat(20_000);
        let reading = &engine.read(&[(&text, &question)], &mut room)[0];
        assert!(!reading.cut);
        for (_, answer, _) in &reading.answers {
            assert!(
                answer.probabilities.iter().all(|value| value.is_finite()),
                "{unit:?}"
            );
        }
    }
    let long = "! ".repeat(140_000);
    assert!(engine.read(&[(&long, &question)], &mut room)[0].cut);
}

#[test]
fn many_at_once_get_what_each_would_get_alone() {
    let engine = engine();
    let question = engine.everything();
    let texts: Vec<String> = (0..64)
        .map(|number| format!("{} abc def {number}", "pq ".repeat(number % 7)))
        .collect();
    let mut room = EngineRoom::default();
    let alone: Vec<_> = texts
        .iter()
        .flat_map(|text| engine.read(&[(text, &question)], &mut room))
        .collect();
    let settings = Settings {
        threads: 2,
        ..Settings::default()
    };
    let service = Service::start(engine, settings).unwrap();
    std::thread::scope(|scope| {
        for (text, alone) in texts.iter().zip(&alone) {
            let (service, question) = (&service, question.clone());
            scope.spawn(move || {
                let patience = std::time::Duration::from_secs(30);
                let reading = service
                    .read_blocking(text.as_str().into(), question, patience)
                    .unwrap();
                assert_eq!(*reading, *alone, "{text}");
            });
        }
    });
    assert_eq!(service.counts().read, 64);
}

#[test]
fn pairs_are_read_together_each_cut_at_half_a_window() {
    let mut with = settings();
    let head = json!({"name": "pair", "labels": ["same", "other"], "exit": 3, "reads": "first_and_mean", "across": "any",
        "layers": [["guard.0", 8], ["guard.1", 2]], "calibration": {"temperature": 1.0}});
    with["heads"].as_array_mut().unwrap().push(head);
    let engine = Engine::from_file("model.pm", &file(with)).unwrap();
    let mut room = EngineRoom::default();
    let long = "a b c d e f g h i j k l m n o p q".to_owned();
    let longer = format!("{long} a a a a");
    let pairs: Vec<(&str, &str)> = TEXTS
        .iter()
        .flat_map(|a| TEXTS.iter().map(move |b| (*a, *b)))
        .collect();
    let together = engine.read_pairs(&pairs, &mut room).unwrap();
    assert!(together.len() == 25 && together.iter().all(|score| score.is_finite()));
    for (pair, score) in pairs.iter().zip(&together) {
        assert_eq!(
            engine.read_pairs(&[*pair], &mut room).unwrap(),
            [*score],
            "{pair:?}"
        );
    }
    let read = |a: &str, b: &str, room: &mut EngineRoom| engine.read_pairs(&[(a, b)], room).unwrap()[0];
    assert_ne!(
        read("abc", "def", &mut room).to_bits(),
        read("def", "abc", &mut room).to_bits()
    );
    assert_eq!(
        read(&long, "b", &mut room).to_bits(),
        read(&longer, "b", &mut room).to_bits()
    );
    assert!(engine.read_pairs(&[], &mut room).unwrap().is_empty());
    // The head says nothing of one text, and without it there is nothing to say of two.
    assert_eq!(engine.everything().heads, [0, 1]);
    assert!(self::engine().read_pairs(&pairs, &mut room).is_none());
}
