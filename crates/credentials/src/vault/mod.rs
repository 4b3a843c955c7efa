//! The sealed keys of one user: the store, opened once and held until nobody asks, and iam-sorry's envelopes.
//!
//! Everything here blocks for as long as a key file takes to open; async code calls it in a thread of its own. It asks
//! nobody: [`Vault::question`] says what a person would have to be asked.

mod held;
mod ways;

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_base::{Fault, Kind, Now, Secret};
use bowline_vault::{
    Keys, ProfileName,
    envelope::{OpenedPair, Pair, open_pair},
    ssh::LONGEST_KEY_FILE,
    store::{Contents, Place, Unlocked},
};
use zeroize::Zeroizing;

pub use self::held::Listing;
use self::held::{Held, Stamps};

/// Where the store is and what opens it; read once at the edge.
#[derive(Clone, Debug)]
pub struct VaultSetup {
    /// The store's directory.
    pub directory: PathBuf,
    /// The private SSH key that opens the store, and iam-sorry's envelopes.
    pub ssh_key: PathBuf,
    /// For how long the store stays open while nobody asks.
    pub idle: Duration,
    /// The ssh-agent's socket, if it may open the store. Experimental.
    pub agent: Option<PathBuf>,
    /// A file with the passphrase, where nobody can be asked.
    pub passphrase_file: Option<PathBuf>,
    /// A file with the recovery key, or any other age identity that is a recipient.
    pub recovery_key_file: Option<PathBuf>,
}

impl VaultSetup {
    /// The idle time where none is configured.
    pub const IDLE: Duration = Duration::from_secs(15 * 60);

    /// What holds for `home` where nothing says otherwise.
    #[must_use]
    pub fn in_home(home: &Path) -> Self {
        Self {
            directory: home.join(".local/share/bowline/vault"),
            ssh_key: home.join(".ssh/id_ed25519"),
            idle: Self::IDLE,
            agent: None,
            passphrase_file: None,
            recovery_key_file: None,
        }
    }
}

/// The sealed keys. Clones share the opened store; whoever drops the last one has locked it.
#[derive(Clone)]
pub struct Vault(Arc<Shared>);

struct Shared {
    setup: VaultSetup,
    held: Mutex<Option<Held>>,
}

/// Shows nothing of what is held.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("directory", &self.0.setup.directory).finish_non_exhaustive()
    }
}

/// Whether `fault` says that a person has to open the store.
#[must_use]
pub fn is_locked(fault: &Fault) -> bool {
    fault.kind == Kind::LoginRequired && fault.origin == ORIGIN
}

/// The origin of a fault that a passphrase ends.
const ORIGIN: &str = "vault";

impl Vault {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(setup: VaultSetup) -> Self {
        Self(Arc::new(Shared { setup, held: Mutex::new(None) }))
    }

    /// What it was told about the world.
    #[must_use]
    pub fn setup(&self) -> &VaultSetup {
        &self.0.setup
    }

    /// The store on disk.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::new(&self.0.setup.directory)
    }

    /// The keys of `profile` from the store, which is opened if that takes no person.
    ///
    /// # Errors
    /// [`is_locked`] when a person has to be asked; `Config` when the store has no such profile.
    pub fn keys(&self, profile: &str, now: Now) -> Result<Keys, Fault> {
        let name = ProfileName::new(profile)?;
        self.with_contents(now, |contents| contents.profiles.get(&name).map(|entry| entry.keys.clone()))?.ok_or_else(
            || {
                Fault::new(Kind::Config, ORIGIN, format!("the vault has no keys of profile `{profile}`"))
                    .hint(format!("put them in: bowline vault add {profile}"))
            },
        )
    }

    /// What is in the store, without any key.
    ///
    /// # Errors
    /// As [`Vault::keys`].
    pub fn listing(&self, now: Now) -> Result<Listing, Fault> {
        let mut held = self.held();
        Ok(self.opened(&mut held, now)?.listing(now)?)
    }

    /// Opens the store with what a person typed: the passphrase of the SSH key, or the store's own.
    ///
    /// # Errors
    /// `Refused` for a wrong one.
    pub fn open_with(&self, passphrase: &Secret, now: Now) -> Result<(), Fault> {
        let key = ways::with_passphrase(&self.0.setup, &self.place(), passphrase)?;
        let opened = Held::open(&self.place(), &key, Some(passphrase.clone()), self.0.setup.idle, now)?;
        *self.held() = Some(opened);
        Ok(())
    }

    /// A private key that opens the store, for a change of it: by what needs no person, or what a person typed for
    /// [`Vault::open_with`].
    ///
    /// # Errors
    /// As [`Vault::keys`].
    pub fn unlocked(&self, now: Now) -> Result<Unlocked, Fault> {
        let typed = self.held().as_mut().and_then(|held| held.passphrase(now));
        match typed {
            Some(passphrase) => Ok(ways::with_passphrase(&self.0.setup, &self.place(), &passphrase)?),
            None => ways::without_a_person(&self.0.setup, &self.place())?.ok_or_else(|| self.locked()),
        }
    }

    /// Wipes what is held.
    pub fn lock(&self) {
        *self.held() = None;
    }

    /// Wipes what nobody has asked for in the idle time. Says whether it just did. Waits for nobody.
    #[must_use]
    pub fn tick(&self, now: Now) -> bool {
        let Ok(mut held) = self.0.held.try_lock() else { return false };
        let over = held.as_mut().is_some_and(|held| held.is_over(now));
        if over {
            *held = None;
        }
        over
    }

    /// When to [`tick`](Self::tick) next, by the boot clock.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        self.0.held.try_lock().ok()?.as_ref()?.next_wake()
    }

    /// Whether it is open now.
    #[must_use]
    pub fn is_open(&self, now: Now) -> bool {
        self.held().as_mut().is_some_and(|held| !held.is_over(now))
    }

    /// What a person has to be asked so that [`Vault::open_with`] can succeed; `None` when no passphrase helps.
    #[must_use]
    pub fn question(&self) -> Option<String> {
        ways::question(&self.0.setup, &self.place())
    }

    /// Opens a profile's values of `~/.aws/credentials` with the SSH key file.
    ///
    /// # Errors
    /// `Config`, naming the field and the likely cause.
    pub fn open_envelope(&self, profile: &str, key_id: &Secret, secret_key: &Secret) -> Result<OpenedPair, Fault> {
        let pair = Pair { profile, key_id: key_id.expose(), secret_key: secret_key.expose() };
        Ok(open_pair(pair, &key_file(&self.0.setup.ssh_key)?)?)
    }

    fn with_contents<T>(&self, now: Now, look: impl FnOnce(&Contents) -> T) -> Result<T, Fault> {
        let mut held = self.held();
        Ok(look(self.opened(&mut held, now)?.contents(now)?))
    }

    /// The store as it is on disk now: what was held is opened anew when the files are others.
    fn opened<'h>(&self, held: &'h mut Option<Held>, now: Now) -> Result<&'h mut Held, Fault> {
        let place = self.place();
        let stamps = Stamps::take(place.directory());
        let mut before = held.take();
        if before.as_mut().is_some_and(|open| open.is_over(now)) {
            before = None;
        }
        let fresh = match before {
            Some(open) if open.stamps == stamps => open,
            Some(mut open) => match open.passphrase(now) {
                Some(typed) => {
                    let key = ways::with_passphrase(&self.0.setup, &place, &typed)?;
                    Held::open(&place, &key, Some(typed), self.0.setup.idle, now)?
                }
                None => self.open_alone(&place, now)?,
            },
            None => self.open_alone(&place, now)?,
        };
        Ok(held.insert(fresh))
    }

    fn open_alone(&self, place: &Place, now: Now) -> Result<Held, Fault> {
        let key = ways::without_a_person(&self.0.setup, place)?.ok_or_else(|| self.locked())?;
        Ok(Held::open(place, &key, None, self.0.setup.idle, now)?)
    }

    fn locked(&self) -> Fault {
        match self.question() {
            Some(_) => bowline_vault::store::Locked.into(),
            None => Fault::new(Kind::Config, ORIGIN, "no key on this machine opens the vault")
                .hint("name one with `ssh-key` in `[vault]` of bowline.toml, or see: bowline vault recover"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a private key file, in memory that is wiped.
///
/// # Errors
/// `Config` when it cannot be read, or is longer than any key.
pub fn key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let unreadable = |cause: io::Error| {
        Fault::new(Kind::Config, "SSH key", format!("cannot read the SSH key `{}`", path.display()))
            .hint("name the key file with `ssh-key` in `[vault]` of bowline.toml")
            .cause(cause)
    };
    // One byte more than is taken, so that a longer file is told from one that just fits; and no buffer ever moves.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_KEY_FILE + 2));
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST_KEY_FILE as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
