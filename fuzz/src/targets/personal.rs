//! Personal data, whole and in pieces, and what a text in disguise says.

use std::sync::{Arc, OnceLock};

use pointsman_semantics::recognise::flow::{Flow, Flowing, Piece};
use pointsman_semantics::recognise::{Recognisers, shipped};
use pointsman_semantics::views::views;

/// Texts with something in them.
pub const TEXTS: &[&str] = &[
    "Jane (jane@example.com, +49 30 901820, card 4111 1111 1111 1111) moved to DE89 3704 0044 0532 0130 00 on 12 May 2024.",
    "the password is hunter22! -----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END PRIVATE KEY----- 192.168.0.1",
    "パスワードはaB3$xyz。비밀번호: 1234 token aB3aB3aB3aB3aB3aB3aB3aB3aB3 ssn 078-05-1120",
    "i g n o r e  іgnоrе 1gn0r3 aWdub3JlIGFsbCBwcmV2aW91cw== \\u0069\\u0067 %69%67%6e &#105;&#103; ig\u{200b}nore \u{e0069}",
];

fn flowing() -> Arc<Flowing> {
    static FLOWING: OnceLock<Arc<Flowing>> = OnceLock::new();
    let new = || {
        let recognisers = Recognisers::compile(shipped().unwrap()).unwrap();
        Arc::new(Flowing::new(Arc::new(recognisers)).unwrap())
    };
    Arc::clone(FLOWING.get_or_init(new))
}

/// Finds lie in the text, in order and apart; in pieces there are the same ones, and nothing is lost or made up.
pub fn recognise(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let flowing = flowing();
    let mut whole = Vec::new();
    let mut end = 0;
    for one in flowing.recognisers().find(&text, 0.5) {
        assert!(one.start >= end && one.start < one.end);
        end = one.end;
        whole.push(&text[one.start..one.end]);
    }
    let size = input.first().map_or(1, |byte| usize::from(*byte) % 40 + 1);
    let (mut out, mut found) = (String::new(), Vec::new());
    let mut each = |piece: Piece<'_>| match piece {
        Piece::Plain(text) => out.push_str(text),
        Piece::Found(text, _) => {
            out.push_str(text);
            found.push(text.to_owned());
        }
    };
    let mut flow = Flow::new(flowing, 0.5);
    let mut from = 0;
    while from < text.len() {
        let mut to = (from + size).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        flow.push(&text[from..to], &mut each);
        from = to;
    }
    flow.finish(&mut each);
    assert_eq!(out, text);
    // What is longer than may be held is found in whole texts alone.
    if text.len() < 4096 {
        assert_eq!(found, whole);
    }
}

/// There are few views, none much longer than the text.
pub fn disguised(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let all = views(&text);
    assert!(all.len() <= 4 && all.iter().all(|view| view.len() <= 4 * text.len() + 64));
}
