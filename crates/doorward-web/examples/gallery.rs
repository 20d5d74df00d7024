//! Writes every page in every state as files, to be looked at: `cargo run -p doorward-web --example gallery -- FOLDER`.
//!
//! The files are opened with a web server whose root is the folder, because pages point at `/static/…`.

#[path = "gallery/states.rs"]
mod states;

use std::error::Error;
use std::path::Path;

use doorward_web::assets;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("say into which folder")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder.join("static"))?;
    for asset in assets::all() {
        std::fs::write(folder.join(asset.url.trim_start_matches('/')), asset.bytes)?;
    }
    for (name, html) in states::all()? {
        std::fs::write(folder.join(name).with_extension("html"), html)?;
    }
    Ok(())
}
