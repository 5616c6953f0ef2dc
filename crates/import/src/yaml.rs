//! What is written: a tree with comments, as YAML that a person likes to read.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    /// A text. A dollar in it stays one.
    Text(String),
    /// A text with variables in it: `${NAME}`.
    Variable(String),
    /// A number or a boolean.
    Plain(String),
    List(Vec<Noted>),
    Map(Map),
}

/// A value with comments before it. Comments are no part of what a value is.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    value: Yaml,
    notes: Vec<String>,
}

impl PartialEq for Noted {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Noted {}

impl From<Yaml> for Noted {
    fn from(value: Yaml) -> Self {
        Self {
            value,
            notes: Vec::new(),
        }
    }
}

/// Keys and values in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    entries: Vec<(String, Noted)>,
}

/// Longest line of what is written in one line.
const WIDTH: usize = 100;

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `${NAME}`.
    pub(crate) fn variable(name: &str) -> Self {
        Self::Variable(format!("${{{name}}}"))
    }

    pub(crate) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    pub(crate) fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self::List(values.into_iter().map(Noted::from).collect())
    }

    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::list(texts.into_iter().map(Self::text))
    }

    /// A JSON value.
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::json)),
            serde_json::Value::Object(entries) => {
                let mut map = Map::default();
                for (key, value) in entries {
                    map.set(key, Self::json(value));
                }
                Self::Map(map)
            }
            plain => Self::plain(plain),
        }
    }

    /// On one line, if it has no comments in it.
    fn flow(&self) -> Option<String> {
        match self {
            Self::List(items) => {
                let items: Option<Vec<String>> = items.iter().map(Noted::flow).collect();
                let items = items?;
                Some(if items.is_empty() {
                    "[]".to_owned()
                } else {
                    format!("[{}]", items.join(", "))
                })
            }
            Self::Map(map) => {
                let entries: Option<Vec<String>> = map
                    .entries
                    .iter()
                    .map(|(key, value)| Some(format!("{}: {}", scalar(key), value.flow()?)))
                    .collect();
                let entries = entries?;
                Some(if entries.is_empty() {
                    "{}".to_owned()
                } else {
                    format!("{{ {} }}", entries.join(", "))
                })
            }
            Self::Text(text) => Some(scalar(&escaped(text))),
            Self::Variable(text) => Some(quoted(text)),
            Self::Plain(text) => Some(text.clone()),
        }
    }

    /// Whether it holds a list of mappings, which reads better on lines of its own.
    fn is_deep(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(|item| matches!(item.value, Self::Map(_))),
            Self::Map(map) => map.entries.iter().any(|(_, value)| value.value.is_deep()),
            _ => false,
        }
    }

    /// Behind a key or a dash that ends at `column`.
    fn write(&self, out: &mut String, indent: usize, column: usize, in_list: bool) {
        if let Self::Text(text) = self
            && let Some(block) = literal(&escaped(text), indent)
        {
            out.push_str(&block);
            return;
        }
        let flow = self
            .flow()
            .filter(|flow| !self.is_deep() && (column + flow.chars().count() < WIDTH || self.is_scalar()));
        if let Some(flow) = flow {
            out.push(' ');
            out.push_str(&flow);
            out.push('\n');
            return;
        }
        match self {
            Self::Map(map) if in_list => {
                out.push(' ');
                map.write_from(out, indent, true);
            }
            Self::Map(map) => {
                out.push('\n');
                map.write_from(out, indent, false);
            }
            Self::List(items) => {
                out.push('\n');
                for item in items {
                    notes(out, &item.notes, indent);
                    out.push_str(&" ".repeat(indent));
                    out.push('-');
                    item.value.write(out, indent + 2, indent + 2, true);
                }
            }
            _ => {}
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Variable(_) | Self::Plain(_))
    }
}

impl Noted {
    fn flow(&self) -> Option<String> {
        self.notes.is_empty().then(|| self.value.flow())?
    }

    /// The same with its value changed.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut Yaml)) -> Self {
        change(&mut self.value);
        self
    }

    /// The same with a comment before it.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Map {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| &value.value)
    }

    /// Sets a key; its place stays where it was.
    pub(crate) fn set(&mut self, key: &str, value: Yaml) {
        self.noted(key, value.into());
    }

    /// Sets a key, with comments.
    pub(crate) fn noted(&mut self, key: &str, value: Noted) {
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.entries.push((key.to_owned(), value)),
        }
    }

    /// Sets a key, unless there is nothing to set.
    pub(crate) fn put(&mut self, key: &str, value: Option<Yaml>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a key to a mapping, unless that is empty.
    pub(crate) fn put_map(&mut self, key: &str, map: Self) {
        if !map.is_empty() {
            self.set(key, Yaml::Map(map));
        }
    }

    /// A comment before the key, if it is there.
    pub(crate) fn note(&mut self, key: &str, note: impl Into<String>) {
        if let Some((_, value)) = self.entries.iter_mut().find(|(name, _)| name == key) {
            value.notes.push(note.into());
        }
    }

    /// Changes the mapping at a key, made when it is not there.
    pub(crate) fn update(&mut self, key: &str, change: impl FnOnce(&mut Self)) {
        let mut map = match self.get(key) {
            Some(Yaml::Map(map)) => map.clone(),
            _ => Self::default(),
        };
        change(&mut map);
        let notes = self.entries.iter().find(|(name, _)| name == key);
        let notes = notes.map(|(_, value)| value.notes.clone()).unwrap_or_default();
        self.noted(
            key,
            Noted {
                value: Yaml::Map(map),
                notes,
            },
        );
    }

    /// Adds to the list at a key, made when it is not there.
    pub(crate) fn push(&mut self, key: &str, value: impl Into<Noted>) {
        if self.get(key).is_none() {
            self.set(key, Yaml::List(Vec::new()));
        }
        let entry = self.entries.iter_mut().find(|(name, _)| name == key);
        if let Some((
            _,
            Noted {
                value: Yaml::List(items),
                ..
            },
        )) = entry
        {
            items.push(value.into());
        }
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// Keys in their order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Its values, as a list.
    pub(crate) fn values(&self) -> Yaml {
        Yaml::List(self.entries.iter().map(|(_, value)| value.clone()).collect())
    }

    /// Takes a key over from another, with its comments.
    pub(crate) fn take(&mut self, key: &str, other: &Self) {
        if let Some((_, value)) = other.entries.iter().find(|(name, _)| name == key) {
            self.noted(key, value.clone());
        }
    }

    fn write_from(&self, out: &mut String, indent: usize, mut begun: bool) {
        for (key, value) in &self.entries {
            if !begun {
                notes(out, &value.notes, indent);
                out.push_str(&" ".repeat(indent));
            }
            let key = scalar(key);
            out.push_str(&key);
            out.push(':');
            let column = indent + key.chars().count() + 1;
            value.value.write(out, indent + 2, column, false);
            if begun {
                // A comment of the first key of an item stands behind its line: before it there is no room.
                notes(out, &value.notes, indent);
            }
            begun = false;
        }
    }

    /// The whole as a document: a block for each key, an empty line between.
    pub(crate) fn document(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.entries {
            if !out.is_empty() {
                out.push('\n');
            }
            notes(&mut out, &value.notes, 0);
            out.push_str(key);
            out.push(':');
            match &value.value {
                Yaml::Map(map) if !map.is_empty() => {
                    out.push('\n');
                    map.write_from(&mut out, 2, false);
                }
                other => other.write(&mut out, 2, key.len() + 1, false),
            }
        }
        out
    }
}

fn notes(out: &mut String, notes: &[String], indent: usize) {
    for note in notes {
        out.push_str(&" ".repeat(indent));
        out.push_str("# ");
        // A comment is one line, whatever the source has in its names.
        out.extend(
            note.chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter }),
        );
        out.push('\n');
    }
}

/// A dollar that would begin a variable is doubled.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(letter);
        if letter == '$' && matches!(letters.peek(), Some('$' | '{')) {
            out.push('$');
        }
    }
    out
}

/// A text as it can stand anywhere, in quotes where it must.
fn scalar(text: &str) -> String {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "_-./+@%=~".contains(letter);
    let plain = text.is_ascii()
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == '/')
        && text.chars().enumerate().all(|(at, letter)| {
            harmless(letter)
                || (letter == ':' && text[at + 1..].starts_with(|next: char| harmless(next)))
                || (letter == ' ' && text[at + 1..].starts_with(|next: char| next.is_ascii_alphanumeric()))
        })
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain || is_duration(text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// `30s`, `1m30s`: no number to anybody.
fn is_duration(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h'])
        && text
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, 's' | 'm' | 'h'))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Several lines as a block, where that says the same.
fn literal(text: &str, indent: usize) -> Option<String> {
    let body = text.strip_suffix('\n');
    let lines = body.unwrap_or(text);
    let fits = |line: &str| {
        !line
            .chars()
            .any(|letter| letter.is_control() || letter == '\u{feff}')
            && !line.ends_with(' ')
            && !matches!(line, "---" | "...")
    };
    if !lines.contains('\n')
        || lines.starts_with([' ', '\n'])
        || lines.ends_with('\n')
        || !lines.split('\n').all(fits)
    {
        return None;
    }
    let mut out = String::from(if body.is_some() { " |\n" } else { " |-\n" });
    for line in lines.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use pointsman_config::{Node, Value, read_documents};
    use proptest::prelude::*;

    use super::*;

    fn back(map: &Map) -> Node {
        let text = map.document();
        let mut read = read_documents(&text, "x").unwrap_or_else(|wrong| panic!("{wrong:?} in\n{text}"));
        assert_eq!(read.len(), 1, "{text}");
        read.remove(0)
    }

    /// What a text becomes once variables are put in.
    fn resolved(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..=at]);
            rest = rest[at + 1..].strip_prefix('$').unwrap_or(&rest[at + 1..]);
        }
        out + rest
    }

    #[test]
    fn it_reads_as_a_person_would_write_it() {
        let mut auth = Map::default();
        auth.set("api_key", Yaml::variable("KEY"));
        let mut provider = Map::default();
        provider.put_map("auth", auth);
        let mut target = Map::default();
        target.set("provider", Yaml::text("openai"));
        target.set("model", Yaml::text("gpt-5-mini"));
        let mut map = Map::default();
        map.update("providers", |providers| {
            providers.set("openai", Yaml::Map(provider));
        });
        let mut model = Map::default();
        model.push("targets", Noted::from(Yaml::Map(target)).note("line 3"));
        model.set("price", Yaml::plain("0.25"));
        map.update("models", |models| models.set("fast", Yaml::Map(model)));
        map.update("prompts", |prompts| {
            prompts.set("t", Yaml::text("Hello {{you}},\n\nbe brief.\n"));
        });
        let expected = "providers:\n  openai: { auth: { api_key: \"${KEY}\" } }\n\nmodels:\n  fast:\n    targets:\n      # line 3\n      - { provider: openai, model: gpt-5-mini }\n    price: 0.25\n\nprompts:\n  t: |\n    Hello {{you}},\n\n    be brief.\n";
        assert_eq!(map.document(), expected);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(key in "[a-z*/: -]{1,8}", text in any::<String>(), lines in "([a-z$ {#:]{0,5}\n){0,4}") {
            let mut inner = Map::default();
            inner.set(&key, Yaml::text(&text));
            inner.set("lines", Yaml::text(&lines));
            let mut map = Map::default();
            map.set("top", Yaml::Map(inner.clone()));
            map.push("list", Yaml::Map(inner));
            let node = back(&map);
            let Value::Map(top) = node.value else { panic!() };
            let Value::Map(inner) = &top[0].2.value else { panic!() };
            for (at, expected) in [&text, &lines].into_iter().enumerate() {
                prop_assert!(matches!(&inner[at].2.value, Value::Text { text, .. } if resolved(text) == *expected), "{:?}", inner);
            }
            prop_assert_eq!(&inner[0].0, &key);
        }
    }
}
