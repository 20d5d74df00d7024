//! Where the repository is and what belongs to it: its root, its files, its crates.
//!
//! Only reading happens here; what the files must look like is said in `tidy`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository that a task works on.
pub(crate) struct Workspace {
    root: PathBuf,
}

/// One package of the workspace: its folder relative to the root, and its parsed manifest.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: String,
    pub(crate) manifest: toml::Table,
    pub(crate) manifest_text: String,
}

impl Workspace {
    /// Finds the root by walking up from the current folder to the manifest that has a `[workspace]` table.
    pub(crate) fn find() -> Result<Self, String> {
        let here =
            std::env::current_dir().map_err(|error| format!("cannot read the current folder: {error}"))?;
        let root = here
            .ancestors()
            .find(|folder| is_workspace_root(folder))
            .ok_or_else(|| format!("no workspace manifest in or above {}", here.display()))?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// A workspace at a folder that is already known; for tests on made-up trees.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// The absolute path of a file named relative to the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file named relative to the root.
    pub(crate) fn read(&self, relative: &str) -> Result<String, String> {
        std::fs::read_to_string(self.path(relative))
            .map_err(|error| format!("cannot read {relative}: {error}"))
    }

    /// Writes a file named relative to the root, with the folders above it.
    pub(crate) fn write(&self, relative: &str, text: &str) -> Result<(), String> {
        let path = self.path(relative);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
        std::fs::write(&path, text).map_err(|error| format!("cannot write {relative}: {error}"))
    }

    /// Every file that is or would be committed, relative to the root, sorted. Files that were deleted but not yet
    /// committed are left out.
    pub(crate) fn files(&self) -> Result<Vec<String>, String> {
        let listed = self.run(
            "git",
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        )?;
        let mut files: Vec<String> = listed
            .split('\0')
            .filter(|name| !name.is_empty() && self.path(name).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The packages of the workspace, in the order of their folders.
    pub(crate) fn packages(&self) -> Result<Vec<Package>, String> {
        let mut folders = vec!["xtask".to_owned()];
        let entries = std::fs::read_dir(self.path("crates"))
            .map_err(|error| format!("cannot list crates/: {error}"))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("cannot list crates/: {error}"))?;
            if entry.path().join("Cargo.toml").is_file() {
                folders.push(format!("crates/{}", entry.file_name().to_string_lossy()));
            }
        }
        folders.sort();
        folders.iter().map(|folder| self.package(folder)).collect()
    }

    fn package(&self, folder: &str) -> Result<Package, String> {
        let manifest_text = self.read(&format!("{folder}/Cargo.toml"))?;
        let manifest: toml::Table = manifest_text
            .parse()
            .map_err(|error| format!("{folder}/Cargo.toml is not TOML: {error}"))?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .ok_or_else(|| format!("{folder}/Cargo.toml has no package name"))?
            .to_owned();
        Ok(Package {
            name,
            folder: folder.to_owned(),
            manifest,
            manifest_text,
        })
    }

    /// Runs a program in the root and returns what it printed; its own error text when it fails.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.root)
            .output()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "`{program} {}` failed: {}",
                arguments.join(" "),
                said.trim()
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn is_workspace_root(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
}
