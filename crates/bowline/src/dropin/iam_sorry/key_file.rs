//! The SSH key file whose bytes are the key: found and read here, judged by the vault.

use std::{fs::File, io::Read as _, path::PathBuf};

use bowline_base::Fault;
use bowline_vault::{envelope::SealingKey, ssh::LONGEST_KEY_FILE};
use zeroize::Zeroizing;

use super::task::wrong;
use crate::output;

/// Where the SSH key is.
#[derive(Clone, Debug)]
pub(super) struct SshKey(PathBuf);

impl SshKey {
    /// The key in that file.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The bytes of the file; of one that is longer than any key, so many that the vault refuses it.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_KEY_FILE + 1));
        let most = LONGEST_KEY_FILE as u64 + 1;
        let read = File::open(&self.0).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|cause| {
            wrong(format!("cannot read the SSH key `{}`", self.0.display()))
                .hint("name another with --ssh-key FILE, or make one: ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519")
                .cause(cause)
        })?;
        Ok(bytes)
    }

    /// The key to seal with; a doubt about it is said.
    pub(super) fn for_sealing(&self) -> Result<(SealingKey, Zeroizing<Vec<u8>>), Fault> {
        let bytes = self.read()?;
        let (key, doubt) = SealingKey::new(&bytes).map_err(|unfit| self.named(unfit.into()))?;
        if let Some(doubt) = doubt {
            output::say(&format!("note: {doubt}"));
        }
        Ok((key, bytes))
    }

    /// The same words with the path in them.
    fn named(&self, fault: Fault) -> Fault {
        let path = self.0.display().to_string();
        let hint = fault.hint.as_deref().map(|hint| hint.replace("KEYFILE", &path));
        let named = Fault { message: format!("`{path}`: {}", fault.message), ..fault };
        Fault { hint, ..named }
    }
}
