//! The demo's world: a temporary home with the files that a developer would have, on free ports.

use std::{
    collections::BTreeMap,
    error::Error as _,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bowline_base::{Fault, Kind, Secret, atomic};
use bowline_credentials::{
    Sources,
    login::{How, LoginEvent, login},
};
use bowline_fakeaws::{FakeAws, Scenario, Settings, VpnManners};
use bowline_host::Tasks;

use super::{
    delegation::{self, MANAGER},
    gateway::Site,
    vpn,
};
use crate::{
    config::{self, ArtifactsSection, AuditSection, CacheSection, Config, DaemonSection, Origin, RepositorySection},
    environment::Environment,
    output,
    world::World,
};

pub(super) const PROFILE: &str = "demo";

/// Everything that the demo runs in.
pub(super) struct Scene {
    pub(super) home: PathBuf,
    /// Where the VPN's API is, and what opens it.
    pub(super) api: SocketAddr,
    pub(super) master_key: Secret,
    pub(super) environment: Environment,
    endpoint: String,
    pub(super) scenario: Scenario,
    pub(super) config: Config,
    pub(super) proxy: SocketAddr,
    master_file: PathBuf,
}

/// What the demo listens on.
#[derive(Debug)]
struct Ports {
    proxy: SocketAddr,
    status: SocketAddr,
    api: SocketAddr,
    wireguard: SocketAddr,
}

/// An AWS with sessions of this length, refresh tokens that rotate, and logins that approve themselves.
pub(super) fn settings(sessions: Duration) -> Settings {
    Settings {
        role_lifetime: sessions,
        sts_lifetime: Some(sessions),
        access_token_lifetime: sessions * 2,
        approve_after: Some(Duration::from_millis(500)),
        vpn: VpnManners { modify_time: Duration::from_secs(2), ..VpnManners::default() },
        ..Settings::default()
    }
}

impl Scene {
    /// Makes the files and chooses the ports.
    pub(super) fn set(outside: &Environment, fake: &FakeAws, settings: &Settings, site: &Site) -> Result<Self, Fault> {
        let scenario = Scenario::furnish(fake.cloud(), settings);
        let random = bowline_host::client::random_u64;
        let home = std::env::temp_dir().join(format!("bowline-demo-{:016x}", random()));
        let ports = Ports::usual()?;
        let mut scene = Self {
            environment: environment(outside, &home, fake),
            endpoint: fake.endpoint(),
            config: Config::default(),
            api: ports.api,
            master_key: Secret::new(format!("demo-{:016x}{:016x}", random(), random())),
            master_file: home.join("master.key"),
            home,
            scenario,
            proxy: ports.proxy,
        };
        scene.listen_on(&ports, site)?;
        scene.write_files().map_err(|cause| {
            Fault::new(Kind::Refused, "demo", format!("cannot write to `{}`", scene.home.display())).cause(cause)
        })?;
        Ok(scene)
    }

    /// The same on other ports, none of them a usual one: somebody took one after it was found free.
    pub(super) fn move_elsewhere(&mut self, site: &Site) -> Result<(), Fault> {
        self.listen_on(&Ports::any()?, site)
    }

    fn listen_on(&mut self, ports: &Ports, site: &Site) -> Result<(), Fault> {
        let vpn = vpn::section(ports.wireguard, ports.api, &self.master_file, &self.home.join("vpn"));
        let sections = site.section(PROFILE, &self.scenario.region) + &vpn;
        self.config = config(&self.home, &self.scenario, ports.proxy, ports.status, &sections)?;
        (self.proxy, self.api) = (ports.proxy, ports.api);
        Ok(())
    }

    /// The world as the daemon of the demo sees it.
    pub(super) fn world(&self) -> Result<World, Fault> {
        Ok(World::new(self.environment.clone())?.with_config(&self.config))
    }

    /// Signs in with a device code, as a person would; the embedded AWS approves by itself.
    pub(super) async fn sign_in(&self) -> Result<(), Fault> {
        let world = self.world()?;
        let tasks = Tasks::new();
        let sources = Sources::new(Arc::clone(&world.wire), tasks.clone(), world.setup.clone());
        let mut tell = |event| {
            if let LoginEvent::Device { user_code, .. } = event {
                output::say(&format!("Signing in with device code {user_code}; it is approved by itself."));
            }
        };
        login(&sources, &tasks, PROFILE, How::Device, &mut tell).await?;
        tasks.shut_down(Duration::from_secs(1)).await;
        Ok(())
    }

    /// What to try in a second terminal.
    pub(super) fn invitation(&self) -> String {
        let Self { endpoint, proxy, .. } = self;
        let (status, api) = (self.config.daemon.listen, self.api);
        format!(
            "\nStatus page  http://{status}/\nRepository   http://{proxy}/\nVPN users    http://{api}/\n\nIn a second terminal:\n\n  \
             export AWS_CONFIG_FILE={consumer}\n  export AWS_PROFILE={PROFILE}\n  export AWS_ENDPOINT_URL={endpoint}\n  \
             export AWS_REGION={region}\n\n  \
             python3 -c 'import boto3; print(boto3.client(\"sts\").get_caller_identity()[\"Arn\"])'\n  \
             aws s3 ls s3://{bucket}/org/example/demo/\n  curl http://{proxy}/org/example/demo/warm/maven-metadata.xml\n",
            consumer = self.consumer_file().display(),
            region = self.scenario.region,
            bucket = self.scenario.bucket,
        )
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        std::fs::remove_dir_all(&self.home).ok();
    }

    fn consumer_file(&self) -> PathBuf {
        self.home.join("consumer.config")
    }

    fn write_files(&self) -> io::Result<()> {
        let Scenario { account_id, role, region, start_url, .. } = &self.scenario;
        atomic::private_directory(&self.home.join(".aws"))?;
        let config = format!(
            "[sso-session demo]\nsso_start_url = {start_url}\nsso_region = {region}\nsso_registration_scopes = sso:account:access\n\n\
             [profile {PROFILE}]\nsso_session = demo\nsso_account_id = {account_id}\nsso_role_name = {role}\nregion = {region}\n\n\
             [profile {MANAGER}]\nregion = {region}\ncredential_process = {} creds {MANAGER}\n",
            self.environment.this_program(),
        );
        atomic::write_private(&self.master_file, self.master_key.expose().as_bytes())?;
        atomic::write_private(&self.home.join(".aws/config"), config.as_bytes())?;
        atomic::write_private(&self.consumer_file(), self.consumer(region).as_bytes())
    }

    /// A profile for other tools: it asks the demo's daemon whatever their own HOME is.
    fn consumer(&self, region: &str) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bowline"));
        let variables = ["HOME", "XDG_RUNTIME_DIR", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
        let settings: Vec<String> =
            variables.iter().filter_map(|name| Some(format!("{name}='{}'", self.environment.var(name)?))).collect();
        format!(
            "[profile {PROFILE}]\nregion = {region}\ncredential_process = env {} '{}' creds {PROFILE}\n",
            settings.join(" "),
            program.display()
        )
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Nothing of the user's own AWS settings may shine through.
fn environment(outside: &Environment, home: &Path, fake: &FakeAws) -> Environment {
    let mut variables: BTreeMap<String, String> = ["PATH", "TMPDIR", "LANG"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), outside.var(name)?.to_owned())))
        .collect();
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("HOME", home.display().to_string());
    set("XDG_RUNTIME_DIR", home.join("run").display().to_string());
    set("AWS_CONFIG_FILE", home.join(".aws/config").display().to_string());
    set("AWS_SHARED_CREDENTIALS_FILE", home.join(".aws/credentials").display().to_string());
    set("AWS_ENDPOINT_URL", fake.endpoint());
    set("BOWLINE_VAULT_RECOVERY_KEY_FILE", delegation::recovery_file(home).display().to_string());
    Environment::of(variables)
}

/// `sections` is the rest, as a file has it.
fn config(
    home: &Path,
    scenario: &Scenario,
    proxy: SocketAddr,
    status: SocketAddr,
    sections: &str,
) -> Result<Config, Fault> {
    let from = vec![Origin::S3 { bucket: scenario.bucket.clone(), prefix: String::new() }];
    let artifacts = ArtifactsSection {
        identity: Some(PROFILE.to_owned()),
        listen: vec![proxy],
        cache: CacheSection { path: Some(home.join("cache")), max_size: 1 << 30, ..CacheSection::default() },
        negative_ttl: Duration::from_secs(1),
        repositories: vec![RepositorySection { path: "/".to_owned(), from }],
        ..ArtifactsSection::default()
    };
    let daemon = DaemonSection { listen: status, keep_fresh: vec![PROFILE.to_owned()], ..DaemonSection::default() };
    let audit = AuditSection { path: Some(home.join("audit")), ..AuditSection::default() };
    let rest = config::parse(sections).map_err(|mistakes| {
        let why: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Fault::new(Kind::Bug, "demo", format!("the demo's own configuration: {}", why.join("; ")))
    })?;
    Ok(Config { daemon, artifacts: Some(artifacts), audit, ..rest })
}

impl Ports {
    /// Where each usual one is free.
    fn usual() -> Result<Self, Fault> {
        Self::of([9000, 9910, 8000], 51820)
    }

    fn any() -> Result<Self, Fault> {
        Self::of([0; 3], 0)
    }

    fn of([proxy, status, api]: [u16; 3], wireguard: u16) -> Result<Self, Fault> {
        let [proxy, status, api] = [free(proxy)?, free(status)?, free(api)?];
        Ok(Self { proxy, status, api, wireguard: free_datagrams(wireguard)? })
    }
}

/// Whether `fault` is for want of an address that somebody else has.
pub(super) fn is_taken(fault: &Fault) -> bool {
    let mut next = fault.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// The usual port if it is free, else any.
fn free(usual: u16) -> Result<SocketAddr, Fault> {
    let bound = [usual, 0].into_iter().find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    bound
        .and_then(|listener| listener.local_addr().ok())
        .ok_or_else(|| Fault::new(Kind::Refused, "demo", "no free port on 127.0.0.1"))
}

/// The same for datagrams.
fn free_datagrams(usual: u16) -> Result<SocketAddr, Fault> {
    let bound = [usual, 0].into_iter().find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok());
    bound
        .and_then(|socket| socket.local_addr().ok())
        .ok_or_else(|| Fault::new(Kind::Refused, "demo", "no free port for datagrams on 127.0.0.1"))
}

#[cfg(test)]
mod tests {
    use bowline_host::{Address, Listeners};

    use super::*;

    #[tokio::test]
    async fn a_port_that_somebody_took_in_between_is_told_from_other_faults() {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = theirs.local_addr().unwrap();
        let fault = Listeners::default().listen(&Address::Tcp(address)).await.err().unwrap();
        assert!(is_taken(&fault), "{fault:?}");
        assert!(!is_taken(&Fault::new(Kind::Config, "demo", "something else")));
        let ports = Ports::any().unwrap();
        assert!([ports.proxy, ports.status, ports.api].iter().all(|port| port.port() >= 1024 && *port != address));
    }
}
