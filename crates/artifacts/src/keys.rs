//! Keys of clients that stand in files: read again when a file changes, so that a token is replaced without a restart.
//!
//! Whoever replaces a token may empty the file first, or write half of it: what is blank or cannot be read is not taken,
//! and the key in use stays.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bowline_base::Secret;
use bowline_host::{Tasks, watch};
use tracing::{info, warn};

use crate::{access::Guard, body::off_thread};

/// Reads the files again until shutdown, whenever something changes beside them.
pub(crate) fn watch(tasks: &Tasks, guard: &Arc<Guard>) {
    let folder = |path: &PathBuf| path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let mut folders: Vec<_> = guard.keys().iter().filter_map(|key| key.file.as_ref().map(folder)).collect();
    folders.sort();
    folders.dedup();
    if folders.is_empty() {
        return;
    }
    let (guard, mut changes) = (Arc::clone(guard), watch::directories(tasks, folders));
    tasks.spawn_until_shutdown("key-reload", async move {
        while changes.recv().await.is_some() {
            let guard = Arc::clone(&guard);
            off_thread(move || reload(&guard)).await.ok();
        }
    });
}

/// Takes what the files hold now.
fn reload(guard: &Guard) {
    let (before, mut keys) = (guard.keys(), guard.keys());
    for key in &mut keys {
        let Some(file) = &key.file else { continue };
        match read(file) {
            Ok(secret) if secret == key.secret => {}
            Ok(secret) => {
                info!(key = key.name, "a new key is in use");
                key.secret = secret;
            }
            Err(error) => warn!(key = key.name, file = %file.display(), %error, "the key in use stays"),
        }
    }
    if keys != before {
        guard.ask_for(keys);
    }
}

/// Without blanks around it.
fn read(file: &Path) -> io::Result<Secret> {
    let text = Secret::new(fs::read_to_string(file)?);
    let trimmed = Secret::new(text.expose().trim());
    if trimmed.is_blank() { Err(io::Error::new(io::ErrorKind::InvalidData, "it is blank")) } else { Ok(trimmed) }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use bowline_base::atomic;

    use super::*;
    use crate::access::{Access, Key, Scheme, Welcome};

    #[test]
    fn a_key_is_replaced_when_a_new_one_is_there_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("token");
        let key =
            |name: &str, file| Key { name: name.to_owned(), scheme: Scheme::Token, secret: Secret::new(name), file };
        let guard = Guard::new(Access::Keys(vec![key("old", Some(file.clone())), key("other", None)]));
        let opens = |token: &str| {
            let header = format!("Bearer {token}");
            guard.welcome(Some(header.as_bytes()), Ipv4Addr::LOCALHOST.into(), Duration::ZERO) == Welcome::Come
        };
        reload(&guard);
        atomic::write_private(&file, b" \n").unwrap();
        reload(&guard);
        assert!(opens("old") && opens("other"), "no file, and a blank one");
        atomic::write_private(&file, b"new\n").unwrap();
        reload(&guard);
        assert!(opens("new") && opens("other") && !opens("old"));
    }
}
