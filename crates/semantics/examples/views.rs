//! The other ways in which texts can be read: `views TEXTS`. A JSON string a line comes in, a list of strings a line goes out.

use std::error::Error;
use std::io::{BufWriter, Write};

use pointsman_semantics::views::views;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("views TEXTS")?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::fs::read_to_string(path)?.lines() {
        let text: String = serde_json::from_str(line)?;
        writeln!(out, "{}", serde_json::to_string(&views(&text))?)?;
    }
    Ok(())
}
