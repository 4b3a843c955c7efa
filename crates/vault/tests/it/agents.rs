//! A real ssh-agent, and agents that are none.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base::Fault;
use bowline_base as base;
use bowline_vault::{
    agent::{Agent, AgentError, Enrolment, NAMESPACE, Signer},
    ssh::PublicKey,
    store::{Insist, Place, Recipient, Recipients, RecoveryKey, StoreError, Unlocked},
};

use crate::tools::{contents, fixture, output, place, program, public, recipient, skip, unlocked};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running ssh-agent, ended with the test.
struct RealAgent {
    process: Child,
    folder: tempfile::TempDir,
}

impl RealAgent {
    fn start() -> Option<Self> {
        let (program, folder) = (program("ssh-agent")?, tempfile::tempdir().unwrap());
        let mut command = Command::new(program);
        command.arg("-D").arg("-a").arg(folder.path().join("socket")).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self { process: command.spawn().unwrap(), folder };
        let mut tries = 0;
        while agent.client().keys().is_err() {
            tries += 1;
            assert!(tries < 100_000, "ssh-agent does not answer");
            std::thread::yield_now();
        }
        Some(agent)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn client(&self) -> Agent {
        Agent::new(self.socket(), PATIENCE)
    }

    fn ssh_add(&self, arguments: &[&str]) {
        let mut command = Command::new(program("ssh-add").unwrap());
        output(command.args(arguments).env("SSH_AUTH_SOCK", self.socket()), b"");
    }

    fn add(&self, name: &str, key: &[u8]) {
        let file = place(self.folder.path(), name, key);
        self.ssh_add(&["-q", file.to_str().unwrap()]);
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn key(name: &str) -> PublicKey {
    PublicKey::from_line(&public(name)).unwrap()
}

#[test]
fn the_store_opens_through_a_real_agent_and_the_stanza_is_nothing_to_plain_age() {
    let Some(agent) = RealAgent::start() else { skip!("the store through ssh-agent: not installed") };
    agent.add("key", &fixture("ed25519-open"));
    let enrolment = Enrolment::new(&agent.client(), &key("ed25519-open"), [7; 32]).unwrap();
    let store = Place::new(agent.folder.path().join("vault"));
    let recovery = RecoveryKey::generate();
    let list = vec![recipient("ed25519"), recovery.recipient(), Recipient::Agent(enrolment)];
    store.create(&contents(list), None).unwrap();

    let through_agent = Unlocked::agent(Box::new(agent.client()));
    assert_eq!(store.open(&through_agent).unwrap().contents.profiles.len(), 1);
    // Its own key file does not open it: the agent's signature does.
    let own = Unlocked::ssh_key(&fixture("ed25519-open"), None).unwrap();
    assert!(matches!(store.open(&own), Err(StoreError::NotForThisKey(_))));
    assert!(store.open(&unlocked("ed25519")).is_ok());
    if let Some(age) = program("age") {
        let file = place(agent.folder.path(), "recovery", recovery.secret().expose().as_bytes());
        let mut command = Command::new(age);
        let printed = output(command.args(["-d", "-i"]).arg(file).arg(store.directory().join("vault.age")), b"");
        assert!(printed.contains("AKIAIOSFODNN7EXAMPLE"));
    }
    agent.ssh_add(&["-q", "-D"]);
    let error = store.open(&Unlocked::agent(Box::new(agent.client()))).err().unwrap();
    assert!(matches!(&error, StoreError::Agent(AgentError::NoKey(_))), "{error}");
    assert!(Fault::from(error).hint.unwrap().contains("ssh-add"));
}

#[test]
fn an_addition_to_an_enrolled_store_needs_no_agent() {
    let Some(agent) = RealAgent::start() else { skip!("additions and ssh-agent: not installed") };
    agent.add("key", &fixture("ed25519-open"));
    let enrolment = Enrolment::new(&agent.client(), &key("ed25519-open"), [7; 32]).unwrap();
    let store = Place::new(agent.folder.path().join("vault"));
    store.create(&contents(vec![recipient("ed25519"), Recipient::Agent(enrolment)]), None).unwrap();
    let addition = bowline_vault::store::Addition {
        id: "a".to_owned(),
        store: store.recipients().unwrap().0,
        profile: crate::tools::name("deploy"),
        entry: crate::tools::entry("AKIAI44QH8DHBEXAMPLE"),
    };
    store.add(&addition).unwrap();
    // One signature for the store and its inbox: a person may have to confirm each.
    let signed = std::rc::Rc::new(std::cell::Cell::new(0));
    let counting = Counting(agent.client(), signed.clone());
    assert_eq!(store.open(&Unlocked::agent(Box::new(counting))).unwrap().waiting, [addition]);
    assert_eq!(signed.get(), 1);
}

#[test]
fn only_keys_that_sign_the_same_each_time_are_enrolled() {
    let Some(agent) = RealAgent::start() else { skip!("enrolment: no ssh-agent") };
    let client = agent.client();
    for name in ["ecdsa", "rsa4096"] {
        assert!(matches!(Enrolment::new(&client, &key(name), [1; 32]), Err(AgentError::Kind(_))), "{name}");
    }
    assert!(matches!(Enrolment::new(&client, &key("ed25519"), [1; 32]), Err(AgentError::NoKey(_))));
    let alone = Unsteady(std::cell::Cell::new(0));
    // A signature that does not verify is refused before anything is derived from it.
    assert!(matches!(Enrolment::new(&alone, &key("ed25519"), [1; 32]), Err(AgentError::Nonsense(_))));
    agent.add("key", &fixture("ed25519-open"));
    let enrolled = Enrolment::new(&client, &key("ed25519-open"), [1; 32]).unwrap();
    let only = Recipients::new(vec![Recipient::Agent(enrolled)], Insist::OnOne);
    assert!(matches!(only, Err(StoreError::OnlyAgent)));
}

#[test]
fn ssh_keygen_makes_the_signature_that_opens_it() {
    let Some(agent) = RealAgent::start() else { skip!("ssh-keygen -Y sign: no ssh-agent") };
    agent.add("key", &fixture("ed25519-open"));
    let salt = [9; 32];
    let recorder = Recorder(agent.client(), std::cell::RefCell::default());
    Enrolment::new(&recorder, &key("ed25519-open"), salt).unwrap();
    let mut command = Command::new(program("ssh-keygen").unwrap());
    let key = agent.folder.path().join("key");
    let armored = output(command.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key), &salt);
    let signature = recorder.1.borrow().clone();
    let body: String = armored.lines().filter(|line| !line.starts_with("-----")).collect();
    let theirs = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    assert!(signature.len() > 64 && theirs.ends_with(&signature), "the two signatures differ");
}

#[test]
fn a_locked_agent_is_named() {
    let Some(agent) = RealAgent::start() else { skip!("a locked agent: no ssh-agent") };
    agent.add("key", &fixture("ed25519-open"));
    agent.ssh_add(&["-q", "-D"]);
    assert!(matches!(agent.client().sign(&key("ed25519-open"), b"x"), Err(AgentError::Refused(_))));
}

/// Answers one connection after another with `answer`; never, if it is empty.
fn pretend(folder: &Path, answer: Vec<u8>) -> Agent {
    let socket = folder.join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            if stream.read(&mut [0; 1024]).is_err() {
                continue;
            }
            stream.write_all(&answer).ok();
            if answer.is_empty() {
                held.push(stream);
            }
        }
    });
    Agent::new(socket, Duration::from_millis(200))
}

#[test]
fn agents_that_lie_hang_or_cut_their_answer_are_refused_in_time() {
    let answers: [(&[u8], &str); 6] = [
        (&[], "did not answer in time"),
        (&[0, 0, 0, 2, 12], "no ssh-agent answers"),
        (&[0xff, 0xff, 0xff, 0xff, 12], "impossible length"),
        (&[0, 0, 0, 0], "impossible length"),
        (&[0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff], "is cut"),
        (&[0, 0, 0, 1, 99], "no list of keys"),
    ];
    for (answer, expected) in answers {
        let folder = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let error = pretend(folder.path(), answer.to_vec()).keys().unwrap_err();
        assert!(error.to_string().contains(expected), "{answer:?}: {error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{answer:?} took {:?}", start.elapsed());
    }
    let nobody = Agent::new("/nonexistent/socket", PATIENCE).keys().unwrap_err();
    assert!(Fault::from(nobody).hint.unwrap().contains("ssh-agent"));
}

/// Holds the ed25519 fixture and signs differently each time.
struct Unsteady(std::cell::Cell<u8>);

impl Signer for Unsteady {
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        Ok(vec![key("ed25519")])
    }

    fn sign(&self, _: &PublicKey, _: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.0.set(self.0.get() + 1);
        Ok([&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 64], &[self.0.get(); 64]].concat())
    }
}

/// Remembers the last signature.
struct Recorder(Agent, std::cell::RefCell<Vec<u8>>);

impl Signer for Recorder {
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        self.0.keys()
    }

    fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        let signature = self.0.sign(key, data)?;
        self.1.replace(signature.clone());
        Ok(signature)
    }
}

/// Counts signatures.
struct Counting(Agent, std::rc::Rc<std::cell::Cell<u32>>);

impl Signer for Counting {
    fn keys(&self) -> Result<Vec<PublicKey>, AgentError> {
        self.0.keys()
    }

    fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, AgentError> {
        self.1.set(self.1.get() + 1);
        self.0.sign(key, data)
    }
}
