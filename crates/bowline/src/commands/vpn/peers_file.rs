//! The file that `--peers` names: read whole, and every mistake in it told at once.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use bowline_base::{Fault, Kind, Secret};
use bowline_tunnel::wg_conf::Conf;
use tracing::warn;

/// What stands in it.
pub(super) fn read(path: &Path) -> Result<Conf, Fault> {
    let wrong = |why: String| Fault::new(Kind::Config, "peers", format!("`{}`: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| {
        wrong(error.to_string()).hint("bowline vpn serve --help shows what stands in it; `wg genkey` makes a key")
    })?;
    let conf = Conf::parse(&Secret::new(text)).map_err(|error| wrong(error.to_string()))?;
    if conf.interface.private_key.is_none() {
        return Err(wrong("[Interface] has no PrivateKey".to_owned()).hint("wg genkey"));
    }
    for (line, key) in &conf.ignored {
        warn!(file = %path.display(), line, key, "this key does nothing here");
    }
    warn_of_readers(path);
    Ok(conf)
}

/// As `wg-quick` does: it is served all the same.
fn warn_of_readers(path: &Path) {
    let open_to_others = fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0);
    if open_to_others {
        warn!(file = %path.display(), "others can read the server's key: chmod 600 it");
    }
}
