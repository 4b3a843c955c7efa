//! A key of an agent as a recipient: enrolled once with the agent, sealed to without it, opened with it again.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    io,
};

use age::{DecryptError, EncryptError, x25519};
use age_core::format::{FileKey, Stanza};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bech32::{Bech32, Hrp};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::{Signer, error::AgentError, sshsig};
use crate::ssh::PublicKey;

const STANZA: &str = "bowline/ssh-agent-v1";
const NATIVE: &str = "X25519";
const PURPOSE: &[u8] = b"bowline/ssh-agent-v1 x25519 ";
/// More signatures than this are not asked for: each may cost a person a confirmation, and whoever can write into the
/// inbox can invent salts.
const MOST_ASKED: usize = 4;

/// A key that was found to sign the same each time, and the public half of what its signature becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    key: PublicKey,
    salt: [u8; 32],
    public: String,
}

impl Enrolment {
    /// Has the agent sign `salt` twice, and takes the key if both are the same. The salt is random and not secret.
    ///
    /// # Errors
    /// [`AgentError::Kind`] for anything but ed25519, [`AgentError::NoKey`], [`AgentError::Unsteady`], and whatever is
    /// the matter with the agent.
    pub fn new(signer: &dyn Signer, key: &PublicKey, salt: [u8; 32]) -> Result<Self, AgentError> {
        if key.ed25519().is_none() {
            return Err(AgentError::Kind(key.kind().clone()));
        }
        if !signer.keys()?.contains(key) {
            return Err(AgentError::NoKey(key.fingerprint()));
        }
        let first = sshsig::sign(signer, key, &salt)?;
        if *first != *sshsig::sign(signer, key, &salt)? {
            return Err(AgentError::Unsteady(key.fingerprint()));
        }
        Ok(Self { key: key.clone(), salt, public: derive(&first, &salt, key).to_public().to_string() })
    }

    /// The key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint()
    }

    /// A line of the public list; a comment to `age`.
    pub(crate) fn to_line(&self) -> String {
        format!("#{STANZA} {} {} {}", self.key.line(), STANDARD_NO_PAD.encode(self.salt), self.public)
    }

    /// `None` if the line is none of these, `Some(None)` if it is one and is wrong.
    pub(crate) fn from_line(line: &str) -> Option<Option<Self>> {
        let rest = line.strip_prefix('#')?.strip_prefix(STANZA)?;
        Some(Self::from_words(&rest.split_ascii_whitespace().collect::<Vec<_>>()))
    }

    fn from_words(words: &[&str]) -> Option<Self> {
        let [kind, blob, salt, public] = words else { return None };
        let key = PublicKey::from_line(&format!("{kind} {blob}")).ok().filter(|key| key.ed25519().is_some())?;
        let public = public.parse::<x25519::Recipient>().ok()?.to_string();
        Some(Self { key, salt: decode_salt(salt)?, public })
    }
}

impl age::Recipient for Enrolment {
    /// The native stanza for the derived key under our own name, so that nobody takes it for a recovery key.
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let recipient: x25519::Recipient =
            self.public.parse().map_err(|error: &str| EncryptError::Io(io::Error::other(error)))?;
        let (mut stanzas, labels) = recipient.wrap_file_key(file_key)?;
        for stanza in stanzas.iter_mut().filter(|stanza| stanza.tag == NATIVE) {
            stanza.tag = STANZA.to_owned();
            stanza.args.splice(0..0, [self.fingerprint(), STANDARD_NO_PAD.encode(self.salt)]);
        }
        // The native recipient may add a random stanza of its own; one name for each file is enough.
        stanzas.retain(|stanza| stanza.tag == STANZA);
        Ok((stanzas, labels))
    }
}

/// Opens stanzas of enrolled keys through their agent. What the agent signed once is kept while this lives: it may ask
/// a person each time, and every addition in the inbox has the same salt.
pub struct AgentIdentity {
    signer: Box<dyn Signer>,
    derived: RefCell<Vec<(String, [u8; 32], x25519::Identity)>>,
    asked: Cell<usize>,
}

impl AgentIdentity {
    /// Through this agent.
    #[must_use]
    pub fn new(signer: Box<dyn Signer>) -> Self {
        Self { signer, derived: RefCell::default(), asked: Cell::new(0) }
    }

    /// Asks the agent. `None` if it does not hold the key, or was asked often enough.
    fn ask(&self, ours: &Ours) -> Result<Option<x25519::Identity>, AgentError> {
        let keys = self.signer.keys()?;
        let held = keys.iter().find(|key| key.fingerprint() == ours.fingerprint);
        let Some(key) = held.filter(|_| self.asked.get() < MOST_ASKED) else { return Ok(None) };
        self.asked.set(self.asked.get() + 1);
        let derived = derive(&*sshsig::sign(&*self.signer, key, &ours.salt)?, &ours.salt, key);
        self.derived.borrow_mut().push((ours.fingerprint.clone(), ours.salt, derived.clone()));
        Ok(Some(derived))
    }

    fn known(&self, ours: &Ours) -> Option<x25519::Identity> {
        let derived = self.derived.borrow();
        let same =
            |(fingerprint, salt, _): &&(String, [u8; 32], _)| *fingerprint == ours.fingerprint && *salt == ours.salt;
        derived.iter().find(same).map(|(_, _, identity)| identity.clone())
    }

    fn unwrap(&self, ours: &Ours) -> Option<Result<FileKey, DecryptError>> {
        let identity = match self.known(ours) {
            Some(identity) => identity,
            None => match self.ask(ours) {
                Ok(identity) => identity?,
                Err(error) => return Some(Err(carried(error))),
            },
        };
        age::Identity::unwrap_stanza(&identity, &ours.native)
    }
}

impl age::Identity for AgentIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let ours: Vec<Ours> = stanzas.iter().filter_map(Ours::read).collect();
        let first = ours.first()?;
        let opened = ours.iter().find_map(|stanza| self.unwrap(stanza));
        Some(opened.unwrap_or_else(|| Err(carried(AgentError::NoKey(first.fingerprint.clone())))))
    }
}

/// One of our stanzas, read.
struct Ours {
    fingerprint: String,
    salt: [u8; 32],
    native: Stanza,
}

impl Ours {
    fn read(stanza: &Stanza) -> Option<Self> {
        let [fingerprint, salt, share] = stanza.args.as_slice() else { return None };
        let native = Stanza { tag: NATIVE.to_owned(), args: vec![share.clone()], body: stanza.body.clone() };
        let ours = stanza.tag == STANZA && fingerprint.len() <= 64;
        ours.then_some(Self { fingerprint: fingerprint.clone(), salt: decode_salt(salt)?, native })
    }
}

fn decode_salt(text: &str) -> Option<[u8; 32]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The key that a signature becomes: HKDF-SHA256 over its 64 bytes, salted, bound to purpose and fingerprint.
fn derive(signature: &[u8; 64], salt: &[u8; 32], key: &PublicKey) -> x25519::Identity {
    let fingerprint = key.fingerprint();
    let prk = Salt::new(HKDF_SHA256, salt).extract(signature);
    let info = [PURPOSE, fingerprint.as_bytes()];
    let okm = prk.expand(&info, HKDF_SHA256).expect("32 bytes are well within HKDF's limit");
    let mut scalar = Zeroizing::new([0; 32]);
    okm.fill(&mut *scalar).expect("32 bytes are what was asked for");
    // The library takes a key in its text form only.
    let text = bech32::encode_upper::<Bech32>(Hrp::parse_unchecked("age-secret-key-"), &*scalar);
    let text = Zeroizing::new(text.expect("32 bytes fit into a bech32 text"));
    text.parse().expect("any 32 bytes are an X25519 key")
}

/// age's error has no room for ours; `store::age_file` takes it out again.
fn carried(error: AgentError) -> DecryptError {
    DecryptError::Io(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use age::{Identity as _, Recipient as _};
    use age_core::secrecy::ExposeSecret as _;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;
    use crate::ssh::wire::put_string;

    /// An agent with one key, in this process.
    struct Software {
        pair: Ed25519KeyPair,
        signed: Rc<Cell<usize>>,
    }

    impl Software {
        fn new(signed: &Rc<Cell<usize>>) -> Self {
            Self { pair: Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap(), signed: signed.clone() }
        }

        fn key(&self) -> PublicKey {
            let mut blob = Vec::new();
            put_string(&mut blob, b"ssh-ed25519");
            put_string(&mut blob, self.pair.public_key().as_ref());
            PublicKey::from_blob(&blob).unwrap()
        }
    }

    impl Signer for Software {
        fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
            Ok(vec![self.key()])
        }

        fn sign(&self, _: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError> {
            self.signed.set(self.signed.get() + 1);
            let mut answer = Vec::new();
            put_string(&mut answer, b"ssh-ed25519");
            put_string(&mut answer, self.pair.sign(data).as_ref());
            Ok(answer)
        }
    }

    fn enrolled(salt: u8) -> Enrolment {
        let signer = Software::new(&Rc::default());
        Enrolment::new(&signer, &signer.key(), [salt; 32]).unwrap()
    }

    #[test]
    fn what_is_wrapped_without_the_agent_is_unwrapped_with_it() {
        let key = FileKey::new(Box::new([3; 16]));
        let (stanzas, _) = enrolled(1).wrap_file_key(&key).unwrap();
        assert_eq!((stanzas.len(), stanzas[0].tag.as_str(), stanzas[0].args.len()), (1, STANZA, 3));
        let identity = AgentIdentity::new(Box::new(Software::new(&Rc::default())));
        let opened = identity.unwrap_stanzas(&stanzas).unwrap().ok().unwrap();
        assert_eq!(opened.expose_secret(), key.expose_secret());
    }

    #[test]
    fn invented_salts_do_not_make_the_agent_sign_for_ever() {
        let key = FileKey::new(Box::new([3; 16]));
        let (mut stanzas, _) = enrolled(1).wrap_file_key(&key).unwrap();
        let signed = Rc::default();
        let identity = AgentIdentity::new(Box::new(Software::new(&signed)));
        for salt in 0..50 {
            stanzas[0].args[1] = STANDARD_NO_PAD.encode([salt; 32]);
            identity.unwrap_stanzas(&stanzas);
        }
        assert_eq!(signed.get(), MOST_ASKED);
    }

    #[test]
    fn the_line_of_the_list_comes_back_and_others_are_told_apart() {
        let enrolment = enrolled(9);
        assert_eq!(Enrolment::from_line(&enrolment.to_line()), Some(Some(enrolment.clone())));
        assert_eq!(Enrolment::from_line("# a comment"), None);
        assert_eq!(Enrolment::from_line(&enrolment.to_line()[..60]), Some(None));
    }
}
