//! The act of delegation and the vault: a manager's long-lived key is sealed, makes a user of its namespace, and hands
//! out temporary credentials of that user, which AWS takes. Nobody else's, and the key lies nowhere in plaintext.

use std::{fs, path::Path, time::Duration};

use bowline_aws::sts;
use bowline_base::{Credentials, Fault, FixedIdentity, KeyId, Secret, atomic, utc};
use bowline_delegation::{
    namespace::Namespace,
    policy::{Scope, admin},
    temporary_key::{Site, Wish, session_of},
    users,
};
use bowline_fakeaws::Cloud;
use bowline_host::client::random_bytes;
use bowline_vault::{
    Keys, ProfileName,
    store::{Addition, Contents, Entry, Insist, Place, Recipients, RecoveryKey, StoreId},
};

use super::{failed, scene::Scene};
use crate::{
    commands::{
        recording,
        users::{Desk, source_of},
    },
    config::DelegationSection,
    output,
    world::World,
};

/// The manager's profile, and its user at IAM.
pub(super) const MANAGER: &str = "demo-mgr";
const USER: &str = "demo-build";
const STRANGER: &str = "alice";
const SESSION: Duration = Duration::from_secs(3600);

/// Opens the store in place of a person with a passphrase.
pub(super) fn recovery_file(home: &Path) -> std::path::PathBuf {
    home.join("recovery.txt")
}

pub(super) async fn act(scene: &Scene, cloud: &Cloud) -> Result<String, Fault> {
    let account = scene.scenario.account_id.clone();
    let prefix = Namespace::of(MANAGER)?.prefix().clone();
    let policy = admin(&Scope { partition: "aws", account, prefix }, None);
    let key = cloud.add_limited_user(MANAGER, &[policy]).map_err(|error| failed(format!("{error:?}")))?;
    let world = scene.world()?;
    seal(&world, &scene.home, &key)?;
    let desk = Desk { world, settings: DelegationSection::default(), profile: MANAGER.to_owned() };
    // What asks people and waits for locks has a thread of its own.
    let opened = tokio::task::spawn_blocking(move || desk.keys().map(|keys| (desk, keys))).await;
    let (desk, keys) = opened.map_err(|error| failed(error.to_string()))??;
    let manager = desk.manager(keys).await?;
    let Err(refusal) = manager.namespace().admit(STRANGER) else {
        return Err(failed(format!("`{STRANGER}` was let into the namespace of `{MANAGER}`")));
    };
    users::create(&manager, USER, &desk.birth(None)).await?;
    let site = Site { manager: &manager, journals: &desk.journals(), tell: &output::say };
    let session = session_of(&site, USER, SESSION, Wish::SessionOfNewUser).await?;
    recording::issued(&desk.world, USER, &session, &source_of(USER, MANAGER))?;
    let region = desk.region()?;
    let who =
        sts::caller_identity(&desk.world.aws, &region, &FixedIdentity::new(session)).await.map_err(Fault::from)?;
    if !who.arn.ends_with(&format!(":user/{USER}")) {
        return Err(failed(format!("AWS takes the credentials for those of `{}`", who.arn)));
    }
    if !cloud.keys_of(USER).is_empty() {
        return Err(failed(format!("a long-lived key of `{USER}` is left")));
    }
    Ok(format!(
        "the key of `{MANAGER}` is sealed in the vault; `{USER}` was made, and AWS takes its temporary credentials; refused: {refusal}"
    ))
}

/// Into a store that the recovery key opens; the profile asks for it there.
fn seal(world: &World, home: &Path, key: &Credentials) -> Result<(), Fault> {
    // One recipient is enough for a store that lives as long as the demo.
    let recovery = RecoveryKey::generate();
    let recipients = Recipients::new(vec![recovery.recipient()], Insist::OnOne)?;
    let (place, store) = (Place::new(&world.setup.vault.directory), StoreId::new(random_bytes()?));
    place.create(&Contents::new(store.clone(), recipients), None)?;
    let cannot = |cause| failed("the demo's files cannot be written".to_owned()).cause(cause);
    atomic::write_private(&recovery_file(home), recovery.secret().expose().as_bytes()).map_err(cannot)?;
    let key_id = Secret::new(key.key_id.as_str());
    let keys = Keys { key_id, secret_key: key.secret_key.clone(), session_token: None };
    let entry = Entry { keys, added: utc(world.wire.now().wall) };
    let id = StoreId::new(random_bytes()?).as_str().to_owned();
    place.add(&Addition { id, store, profile: ProfileName::new(MANAGER)?, entry })?;
    match lies_open(place.directory(), &key.key_id).map_err(cannot)? {
        true => Err(failed("the manager's key lies in plaintext in the vault".to_owned())),
        false => Ok(()),
    }
}

/// Whether a file below `directory` has the key in it.
fn lies_open(directory: &Path, key: &KeyId) -> std::io::Result<bool> {
    for entry in fs::read_dir(directory)?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() {
            lies_open(&path, key)?
        } else {
            fs::read(&path)?.windows(key.as_str().len()).any(|piece| piece == key.as_str().as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
