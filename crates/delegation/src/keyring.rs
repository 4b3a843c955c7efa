//! Where a manager's long-lived key lies, as far as this crate knows: it can be read, and replaced for good.

use bowline_base::{Credentials, Fault, KeyId};

/// A place that holds one long-lived key: a vault, a sealed profile.
pub trait Keyring: Send + Sync {
    /// Whether something could be stored now: asked before any key is made.
    ///
    /// # Errors
    /// Why not: no SSH key, one without a passphrase, a folder that cannot be written.
    fn check(&self) -> Result<(), Fault>;

    /// The key that is stored; `None` when there is none yet.
    ///
    /// # Errors
    /// It cannot be read or opened.
    fn load(&self) -> Result<Option<Credentials>, Fault>;

    /// Puts `new` in the place of the key `former` (`None`: of nothing), all or nothing. On the disk when this returns.
    ///
    /// # Errors
    /// Something else is stored by now, or the disk says no; then what was stored is still there.
    fn replace(&self, former: Option<&KeyId>, new: &Credentials) -> Result<(), Fault>;
}
