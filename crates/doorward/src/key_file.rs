//! The file of the key that seals secrets in the database: read at every start, made at the first.
//!
//! It is written whole under another name and then linked to its own: of several processes that start on a new folder
//! at the same moment exactly one makes it, and nobody ever reads half a file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use doorward_crypto::seal::Keyring;

use crate::failure::{Failure, Result};
use crate::ports;

/// Largest key file that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// A keyring and how it came here.
pub(crate) struct KeyFile {
    /// The keys.
    pub(crate) keyring: Keyring,
    /// Was the file made by this process, just now?
    pub(crate) origin: Origin,
}

/// Where the keyring came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file was there.
    Found,
    /// This process made it, at this path.
    Made(PathBuf),
}

impl Origin {
    /// Takes back a file that was made for a database that turned out to have keys already.
    pub(crate) fn take_back(&self) {
        if let Self::Made(path) = self
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(%error, "the new key file {} could not be removed; remove it", path.display());
        }
    }
}

/// Reads the key file; `None` when there is none.
///
/// # Errors
/// A sentence that says what to do.
pub(crate) fn find(path: &Path) -> Result<Option<Keyring>> {
    let unreadable = |error: &io::Error| {
        Failure::Fault(format!(
            "the key file {} cannot be read: {error}; the server needs it to open the secrets in its database",
            path.display()
        ))
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut text = String::new();
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    let keyring = Keyring::parse(&text)
        .map_err(|error| Failure::Fault(format!("{}: {error}; restore it from a copy", path.display())))?;
    Ok(Some(keyring))
}

/// Makes the key file, unless another process was faster; then its file is read.
///
/// # Errors
/// A sentence that says what to do.
pub(crate) fn make(path: &Path) -> Result<KeyFile> {
    let mut secret = [0_u8; 32];
    ports::fill(&mut secret);
    let keyring = Keyring::new(secret);
    let made = write_once(path, keyring.to_text().as_bytes()).map_err(|error| {
        Failure::Fault(format!("the key file {} cannot be made: {error}", path.display()))
    })?;
    if made {
        return Ok(KeyFile {
            keyring,
            origin: Origin::Made(path.to_owned()),
        });
    }
    match find(path)? {
        Some(keyring) => Ok(KeyFile {
            keyring,
            origin: Origin::Found,
        }),
        None => Err(Failure::Fault(format!(
            "the key file {} was there and is gone again",
            path.display()
        ))),
    }
}

/// Writes a file that only its owner can read; false when there is one already.
fn write_once(path: &Path, content: &[u8]) -> io::Result<bool> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut random = [0_u8; 8];
    ports::fill(&mut random);
    let draft = folder.join(format!(".doorward-key-{:016x}", u64::from_be_bytes(random)));
    let linked = write_draft(&draft, content).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Ok(()) => {
            removed?;
            // The name must survive a power cut before anything is sealed with the key.
            File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes the data folder when it is missing, for its owner only. A folder that is there is left as it is.
///
/// # Errors
/// A sentence that names the setting.
pub(crate) fn prepare_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            Failure::Fault(format!(
                "the data folder {} cannot be made: {error}; `data_dir` names it",
                folder.display()
            ))
        })
}

/// Says when others on this machine can read a file that is secret.
pub(crate) fn complaint_about_mode(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        format!(
            "everybody on this machine can use {} (mode {mode:o}); run: chmod o-rwx {0}",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.key");
        assert!(find(&path).unwrap().is_none());
        let first = make(&path).unwrap();
        assert_eq!(first.origin, Origin::Made(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = make(&path).unwrap();
        assert_eq!(second.origin, Origin::Found);
        assert_eq!(second.keyring.primary_id(), first.keyring.primary_id());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left behind"
        );
    }

    #[test]
    fn many_threads_that_make_it_at_once_all_get_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.key");
        let makers: Vec<_> = (0..16)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || make(&path).unwrap())
            })
            .collect();
        let made: Vec<KeyFile> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        let on_disk = find(&path).unwrap().unwrap().primary_id();
        assert!(made.iter().all(|file| file.keyring.primary_id() == on_disk));
        assert_eq!(made.iter().filter(|file| file.origin != Origin::Found).count(), 1);
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.key");
        fs::write(&path, "not a key\n").unwrap();
        let problem = find(&path).err().unwrap().to_string();
        assert!(
            problem.contains("doorward.key") && problem.contains("restore"),
            "{problem}"
        );
        assert!(!problem.contains("not a key\n"));
        assert!(make(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key\n");
    }

    #[test]
    fn a_file_that_everybody_can_read_is_complained_about() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doorward.key");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(complaint_about_mode(&path).unwrap().contains("644"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(complaint_about_mode(&path).is_none());
    }
}
