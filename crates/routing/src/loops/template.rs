//! Templates of `remom`: what is used of Go's `text/template` over one text and a list of answers.
//!
//! There are texts, fields (`{{.OriginalContent}}`, `{{$resp.Model}}`), `if`/`else`/`end`, `range`, `add`, `len`, comments
//! and marks that trim. Anything else is refused when the configuration is loaded.

use super::Said;

/// A template that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Value(Term),
    If {
        what: Term,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Original,
    References,
    Content,
    Reasoning,
    Model,
    Index,
    Number(usize),
    Sum(Box<Term>, Box<Term>),
    Count,
}

/// An answer that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reference {
    /// What it says, as far as it is shown.
    pub(super) said: Said,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What of it is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        let mut parser = Parser {
            pieces: &pieces,
            at: 0,
            scope: Scope::default(),
        };
        let (nodes, end) = parser.nodes()?;
        match end {
            Closing::Text => Ok(Self { nodes }),
            Closing::Else | Closing::End => Err("there is an end or else without its beginning".to_owned()),
        }
    }

    /// Fills it in.
    pub(super) fn fill(&self, original: &str, references: &[Reference]) -> String {
        let mut out = String::new();
        let scene = Scene {
            original,
            references,
            item: None,
        };
        scene.write(&self.nodes, &mut out);
        out
    }
}

/// A piece of a template.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

/// Cuts texts and actions apart, trimmed where marks say so.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    loop {
        let Some((before, after)) = rest.split_once("{{") else {
            pieces.push(Piece::Text(trimmed_start(rest, trims)));
            return Ok(pieces);
        };
        let (action, next) = after
            .split_once("}}")
            .ok_or_else(|| "an action is not closed by }}".to_owned())?;
        let mut before = trimmed_start(before, trims);
        let mut action = action;
        if let Some(inner) = action.strip_prefix("- ") {
            before = before.trim_end();
            action = inner;
        }
        trims = action.ends_with(" -");
        if trims {
            action = &action[..action.len() - 2];
        }
        pieces.push(Piece::Text(before));
        let action = action.trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(action));
        }
        rest = next;
    }
}

fn trimmed_start(text: &str, trims: bool) -> &str {
    if trims { text.trim_start() } else { text }
}

/// How a list of nodes ends.
enum Closing {
    Text,
    Else,
    End,
}

/// Names that stand for something inside a range.
#[derive(Default, Clone)]
struct Scope {
    index: Option<String>,
    item: Option<String>,
    inside: bool,
}

struct Parser<'p, 't> {
    pieces: &'p [Piece<'t>],
    at: usize,
    scope: Scope,
}

impl Parser<'_, '_> {
    fn nodes(&mut self) -> Result<(Vec<Node>, Closing), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            let action = match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text((*text).to_owned()));
                    continue;
                }
                Piece::Action(action) => *action,
            };
            match action.split_once(' ').unwrap_or((action, "")) {
                ("end", "") => return Ok((nodes, Closing::End)),
                ("else", "") => return Ok((nodes, Closing::Else)),
                ("if", what) => nodes.push(self.condition(what)?),
                ("range", what) => nodes.push(self.range(what)?),
                _ => nodes.push(Node::Value(self.term(action)?)),
            }
        }
        Ok((nodes, Closing::Text))
    }

    fn condition(&mut self, what: &str) -> Result<Node, String> {
        let what = self.term(what)?;
        let (then, otherwise) = self.branches("if")?;
        Ok(Node::If {
            what,
            then,
            otherwise,
        })
    }

    fn range(&mut self, what: &str) -> Result<Node, String> {
        let outer = self.scope.clone();
        if outer.inside {
            return Err("a range inside a range is not understood".to_owned());
        }
        let (names, over) = match what.split_once(":=") {
            Some((names, over)) => (names.trim(), over.trim()),
            None => ("", what.trim()),
        };
        if over != ".ReferenceResponses" && over != "$.ReferenceResponses" {
            return Err(format!(
                "range over {over:?} is not understood; there is .ReferenceResponses"
            ));
        }
        let (index, item) = match names.split_once(',') {
            Some((index, item)) => (Some(index.trim().to_owned()), Some(item.trim().to_owned())),
            None => (None, (!names.is_empty()).then(|| names.to_owned())),
        };
        self.scope = Scope {
            index,
            item,
            inside: true,
        };
        let (body, otherwise) = self.branches("range")?;
        self.scope = outer;
        Ok(Node::Range { body, otherwise })
    }

    fn branches(&mut self, of: &str) -> Result<(Vec<Node>, Vec<Node>), String> {
        let unclosed = || format!("{of} has no end");
        match self.nodes()? {
            (then, Closing::End) => Ok((then, Vec::new())),
            (then, Closing::Else) => match self.nodes()? {
                (otherwise, Closing::End) => Ok((then, otherwise)),
                _ => Err(unclosed()),
            },
            (_, Closing::Text) => Err(unclosed()),
        }
    }

    fn term(&self, text: &str) -> Result<Term, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["add", left, right] => Ok(Term::Sum(
                Box::new(self.operand(left)?),
                Box::new(self.operand(right)?),
            )),
            ["len", ".ReferenceResponses" | "$.ReferenceResponses"] => Ok(Term::Count),
            [one] => self.operand(one),
            _ => Err(format!("{{{{{text}}}}} is not understood")),
        }
    }

    fn operand(&self, word: &str) -> Result<Term, String> {
        let scope = &self.scope;
        let unknown = || format!("{{{{{word}}}}} is not understood");
        match word {
            ".OriginalContent" | "$.OriginalContent" if !scope.inside || word.starts_with('$') => {
                return Ok(Term::Original);
            }
            ".ReferenceResponses" | "$.ReferenceResponses" if !scope.inside || word.starts_with('$') => {
                return Ok(Term::References);
            }
            _ => {}
        }
        if let Ok(number) = word.parse() {
            return Ok(Term::Number(number));
        }
        if scope.index.as_deref() == Some(word) {
            return Ok(Term::Index);
        }
        let field = match scope.item.as_deref().and_then(|item| word.strip_prefix(item)) {
            Some(field) => field,
            None if scope.inside => word,
            None => return Err(unknown()),
        };
        match field {
            ".Content" => Ok(Term::Content),
            ".Reasoning" => Ok(Term::Reasoning),
            ".Model" => Ok(Term::Model),
            _ => Err(unknown()),
        }
    }
}

/// What a template is filled in from.
struct Scene<'a> {
    original: &'a str,
    references: &'a [Reference],
    item: Option<(usize, &'a Said)>,
}

impl Scene<'_> {
    fn write(&self, nodes: &[Node], out: &mut String) {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Value(term) => out.push_str(&self.text(term)),
                Node::If {
                    what,
                    then,
                    otherwise,
                } => self.write(if self.holds(what) { then } else { otherwise }, out),
                Node::Range { otherwise, .. } if self.references.is_empty() => self.write(otherwise, out),
                Node::Range { body, .. } => {
                    for (index, reference) in self.references.iter().enumerate() {
                        let inner = Scene {
                            item: Some((index, &reference.said)),
                            ..*self
                        };
                        inner.write(body, out);
                    }
                }
            }
        }
    }

    fn text(&self, term: &Term) -> String {
        let said = self.item.map(|(_, said)| said);
        let field = |of: fn(&Said) -> &String| said.map(of).cloned().unwrap_or_default();
        match term {
            Term::Original => self.original.to_owned(),
            Term::Content => field(|said| &said.text),
            Term::Reasoning => field(|said| &said.reasoning),
            Term::Model => field(|said| &said.model),
            Term::References => String::new(),
            Term::Index | Term::Number(_) | Term::Sum(..) | Term::Count => self.number(term).to_string(),
        }
    }

    fn number(&self, term: &Term) -> usize {
        match term {
            Term::Index => self.item.map_or(0, |(index, _)| index),
            Term::Number(number) => *number,
            Term::Sum(left, right) => self.number(left).saturating_add(self.number(right)),
            Term::Count => self.references.len(),
            _ => 0,
        }
    }

    /// Whether something is there, as Go has it: no empty text, no zero, no empty list.
    fn holds(&self, term: &Term) -> bool {
        match term {
            Term::References => !self.references.is_empty(),
            Term::Index | Term::Number(_) | Term::Sum(..) | Term::Count => self.number(term) > 0,
            _ => !self.text(term).is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(model: &str, text: &str, reasoning: &str) -> Reference {
        Reference {
            said: Said {
                model: model.to_owned(),
                text: text.to_owned(),
                reasoning: reasoning.to_owned(),
            },
        }
    }

    #[test]
    fn templates_are_filled_in_as_go_does() {
        let text = "Q: {{.OriginalContent}}\n{{range $i, $resp := .ReferenceResponses}}\n{{add $i 1}}{{if $resp.Model}} ({{$resp.Model}}){{end}}: {{if $resp.Reasoning}}[{{$resp.Reasoning}}] {{else}}- {{end}}{{$resp.Content}}{{end}}{{/* no more */}}";
        let template = Template::parse(text).unwrap();
        let filled = template.fill("why?", &[reference("a", "so", "hm"), reference("", "no", "")]);
        assert_eq!(filled, "Q: why?\n\n1 (a): [hm] so\n2: - no");
        let trimmed = Template::parse(
            "a {{- range .ReferenceResponses -}} {{.Content}} {{- end }} of {{len .ReferenceResponses}}",
        );
        assert_eq!(
            trimmed
                .unwrap()
                .fill("", &[reference("", "x", ""), reference("", "y", "")]),
            "axy of 2"
        );
        let empty =
            Template::parse("{{range $r := $.ReferenceResponses}}{{$r.Content}}{{else}}none{{end}}").unwrap();
        assert_eq!(empty.fill("", &[]), "none");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in [
            ("{{.Other}}", ".Other"),
            ("{{printf .OriginalContent}}", "printf"),
            ("{{if .OriginalContent}}x", "if has no end"),
            ("{{end}}", "without its beginning"),
            ("{{range .Models}}{{end}}", ".Models"),
            ("{{.OriginalContent", "not closed"),
            ("{{range $r := .ReferenceResponses}}{{$r.Cost}}{{end}}", "$r.Cost"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_template_is_read_or_refused(text in "(\\{\\{|\\}\\}|- | -|if|range|else|end|add|\\$i|\\.Content|\\.OriginalContent|:=|,|1| |é){0,24}") {
            if let Ok(template) = Template::parse(&text) {
                template.fill("why?", &[reference("a", "so", "")]);
            }
        }
    }
}
