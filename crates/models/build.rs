//! Notes the hash of the weights that are built in.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

const FILE: &str = "understand.weights";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FILE}");
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join(FILE);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut hash = String::new();
    for byte in Sha256::digest(&bytes) {
        write!(hash, "{byte:02x}")?;
    }
    println!("cargo::rustc-env=UNDERSTAND_SHA256={hash}");
    Ok(())
}
