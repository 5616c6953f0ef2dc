//! Packs `data/` into the binary: each file deflated, so that the whole catalog adds about a hundred kilobytes, and
//! unpacked on its own, so that only what is asked for is ever read. A new models file needs no line of code.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let data = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("data");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", data.display());
    let mut files: Vec<PathBuf> = fs::read_dir(data.join("models"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let providers = pack(&data.join("providers.json"), &out.join("providers.packed"))?;
    let mut code =
        format!("pub const PROVIDERS: Packed = {providers};\npub const MODELS: &[(&str, Packed)] = &[\n");
    for path in files {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .ok_or("a file name is not UTF-8")?;
        let packed = pack(&path, &out.join(format!("models-{name}.packed")))?;
        code.push_str(&format!("    ({name:?}, {packed}),\n"));
    }
    code.push_str("];\n");
    fs::write(out.join("packed.rs"), code)?;
    Ok(())
}

/// Deflates a file, and gives the expression that embeds it.
fn pack(from: &Path, to: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&text)?;
    fs::write(to, encoder.finish()?)?;
    Ok(format!(
        "Packed {{ bytes: include_bytes!({to:?}), length: {} }}",
        text.len()
    ))
}
