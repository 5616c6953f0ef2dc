//! The catalog of `servers.txt`: forty tools of each of its servers, and what is asked of it.

use pointsman_mcp::search::{Described, Index, Source};

const SERVERS: &str = include_str!("servers.txt");
const REQUESTS: &str = include_str!("requests.txt");
const DRAWN: &str = include_str!("drawn.txt");
const FURTHER: &str = include_str!("further.txt");
const UNSEEN: &str = include_str!("unseen.txt");
const WISHES: &str = include_str!("wishes.txt");

/// Tools, and the servers they are of.
pub struct Catalog {
    pub tools: Vec<Described>,
    pub servers: Vec<Source>,
    /// `server | verb thing` of each tool.
    pub ids: Vec<String>,
}

/// What is asked for, and the place of the right tool.
pub struct Request {
    pub text: String,
    pub right: usize,
    /// Whether the weights were chosen on it.
    pub tuned: bool,
}

/// Which file of requests.
#[derive(Clone, Copy)]
pub enum Set {
    /// What a model asks for.
    Requests,
    /// The same, for tools that were drawn by lot: the weights were chosen on all of them.
    Drawn,
    /// The same again, for three more of each server, those of its own first.
    Further,
    /// What people say.
    Wishes,
    /// The same as the first, for two more of each server: nothing was chosen on them.
    Unseen,
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && (!line.starts_with('#') || line.starts_with("## ")))
}

fn cells(line: &str) -> Vec<&str> {
    line.split('|').map(str::trim).collect()
}

fn article(thing: &str) -> String {
    let vowel = thing.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) || thing.starts_with("MFA");
    let (vowel, thing) = (vowel || thing.starts_with("SQL"), thing);
    format!("{} {thing}", if vowel { "an" } else { "a" })
}

/// How a style describes what every thing has.
fn described(style: &str, verb: &str, (one, many, what): (&str, &str, &str)) -> String {
    let a = article(one);
    match (style, verb) {
        ("a", "list") => format!("List {many} ({what})."),
        ("a", "get") => format!("Get {a} by its id ({what})."),
        ("a", "create") => format!("Create {a} ({what})."),
        ("a", "update") => format!("Update fields of {a}."),
        ("a", _) => format!("Delete {a} for good."),
        ("b", "list") => format!("Returns a page of {many}: {what}."),
        ("b", "get") => format!("Retrieve {a}: {what}."),
        ("b", "create") => format!("Add {a}: {what}."),
        ("b", "update") => format!("Change {a} that exists."),
        ("b", _) => format!("Remove {a}."),
        (_, "list") => format!("Fetch all {many}, {what}."),
        (_, "get") => format!("Read one record of {many}, {what}."),
        (_, "create") => format!("Make a new record of {many}, {what}."),
        (_, "update") => format!("Edit {a}."),
        (_, _) => format!("Erase {a}."),
    }
}

/// How a style names tools: `create_issue`, `issue_create`, `createIssue`.
fn named(style: &str, verb: &str, thing: &str) -> String {
    let thing = thing.replace(['-', '/'], " ");
    match style {
        "a" => format!("{verb}_{thing}").replace(' ', "_").to_lowercase(),
        "b" => format!("{thing}_{verb}").replace(' ', "_").to_lowercase(),
        _ => {
            let words = format!("{verb} {thing}");
            let mut words = words.split([' ', '_']);
            let first = words.next().unwrap_or_default().to_lowercase();
            words.fold(first, |name, word| {
                let (head, tail) = word.split_at(1);
                name + &head.to_uppercase() + tail
            })
        }
    }
}

impl Catalog {
    /// Reads the servers.
    pub fn read() -> Self {
        let mut catalog = Self {
            tools: Vec::new(),
            servers: Vec::new(),
            ids: Vec::new(),
        };
        let mut style = "a";
        for line in lines(SERVERS) {
            if let Some(head) = line.strip_prefix("## ") {
                let head = cells(head);
                style = head[1];
                catalog.servers.push(Source {
                    name: head[0].to_owned(),
                    says: head[2].to_owned(),
                });
                continue;
            }
            let line = cells(line);
            catalog.thing(style, (line[0], line[1], line[2]), (line[3], line[4]));
        }
        catalog
    }

    fn thing(&mut self, style: &str, thing: (&str, &str, &str), (fields, own): (&str, &str)) {
        let (one, many, what) = thing;
        let fields: Vec<String> = fields.split(", ").map(str::to_owned).collect();
        let own: Vec<(&str, &str)> = own
            .split(';')
            .filter_map(|one| one.trim().split_once(": "))
            .collect();
        let usual = ["list", "get", "create", "update", "delete"];
        for verb in &usual[..usual.len() - own.len()] {
            let parameters = match *verb {
                "list" => vec!["cursor".to_owned(), "filter".to_owned()],
                "create" | "update" => fields.clone(),
                _ => vec!["id".to_owned()],
            };
            let named_thing = if *verb == "list" { many } else { one };
            let name = named(style, verb, named_thing);
            self.push((verb, one), name, described(style, verb, thing), parameters);
        }
        for (verb, description) in own {
            let parameters = [&["id".to_owned()][..], &fields[..1]].concat();
            let mut heading = many.to_owned();
            heading[..1].make_ascii_uppercase();
            let description = format!("{description}. {heading}: {what}.");
            self.push((verb, one), named(style, verb, one), description, parameters);
        }
    }

    fn push(
        &mut self,
        (verb, thing): (&str, &str),
        name: String,
        description: String,
        parameters: Vec<String>,
    ) {
        let server = self.servers.len() - 1;
        self.ids
            .push(format!("{} | {verb} {thing}", self.servers[server].name));
        self.tools.push(Described {
            server,
            name,
            description,
            parameters,
        });
    }

    /// What is asked of it.
    pub fn requests(&self, set: Set) -> Vec<Request> {
        let text = match set {
            Set::Requests => REQUESTS,
            Set::Drawn => DRAWN,
            Set::Further => FURTHER,
            Set::Wishes => WISHES,
            Set::Unseen => UNSEEN,
        };
        lines(text)
            .enumerate()
            .map(|(at, line)| {
                let line = cells(line);
                let id = format!("{} | {}", line[0], line[1]);
                let right = self.ids.iter().position(|known| *known == id);
                Request {
                    text: line[2].to_owned(),
                    right: right.unwrap_or_else(|| panic!("no tool is {id:?}")),
                    tuned: match set {
                        Set::Drawn | Set::Further => true,
                        Set::Unseen => false,
                        Set::Requests | Set::Wishes => at % 4 == 0,
                    },
                }
            })
            .collect()
    }
}

/// The place of the right tool among all, from 0.
pub fn place(index: &Index, scores: &[f32], right: usize) -> usize {
    let order = index.order(scores, |_| true);
    order.iter().position(|at| *at == right).unwrap_or(order.len())
}
