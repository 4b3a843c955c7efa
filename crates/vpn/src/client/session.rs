//! Connecting and disconnecting, step by step: whatever breaks off leaves a record from which all is put back.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_base::{Fault, Kind, Retry, Secret, Timestamp, atomic, utc};
use tokio::net::lookup_host;

use super::{
    carrier::{Carrier, Via},
    name_service::{self, Resolved},
    quick::Settings,
    record::{Place, Record},
    restore,
    routing::{self, Link, Names, Routing},
    shell::Surroundings,
};

/// What is asked for.
#[derive(Debug)]
pub struct Wanted {
    /// For people: the user, or the file.
    pub name: String,
    /// The link's interface.
    pub interface: String,
    /// A client's configuration.
    pub conf: Secret,
    /// Other ranges than the configuration's.
    pub routing: Option<Routing>,
    /// Through a proxy.
    pub via: Option<Via>,
}

/// The client's state on this machine.
#[derive(Debug)]
pub struct Client {
    around: Surroundings,
}

/// A link that is up. It lives on when this is dropped, unless it needs a carrier.
pub struct Connected {
    /// As it was written down.
    pub record: Record,
    /// What is not as it should be, for people.
    pub remarks: Vec<String>,
    carrier: Option<Carrier>,
    lock: Lock,
}

/// Nobody else of us works on links while this is held.
struct Lock(File);

/// How often a lock is tried that somebody may only be looking at.
const MOST_LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

const NO_RESOLVER: &str = "this link brings no resolver: names are found as before, and past the link where the resolver is in a network of this machine";

const WAIT: Duration = Duration::from_millis(100);
/// A client that is told to end has restored everything by then.
const LONGEST_END: Duration = Duration::from_secs(20);

impl Client {
    /// Makes the state directory where there is none.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(around: Surroundings) -> Result<Self, Fault> {
        atomic::private_directory(&around.state).map_err(|cause| {
            Fault::new(Kind::Config, "vpn", format!("cannot make `{}`", around.state.display())).cause(cause)
        })?;
        Ok(Self { around })
    }

    /// The link that there is, or half a one.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn record(&self) -> Result<Option<Record>, Fault> {
        self.place().read()
    }

    /// Whether a process of ours holds the link up.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Lock::is_held(&self.lock_path())
    }

    /// Brings the link up. What fails on the way is undone.
    ///
    /// # Errors
    /// Another link is there, or a step failed.
    pub async fn connect(&self, wanted: &Wanted, now: Timestamp) -> Result<Connected, Fault> {
        let lock = Lock::take(&self.lock_path()).map_err(|holder| in_use(&holder))?;
        if let Some(record) = self.record()? {
            return Err(Fault::new(Kind::Refused, "vpn", format!("`{}` is connected already", record.name))
                .hint("bowline vpn disconnect, or after a crash: bowline vpn restore"));
        }
        let settings = Settings::parse(&wanted.conf, &wanted.name)?;
        let (carrier, endpoint, outside) = self.way(wanted, &settings).await?;
        let mut remarks = Vec::new();
        let made = self.make(wanted, &settings, (endpoint, outside), now, &mut remarks).await;
        match made {
            Ok(record) => Ok(Connected { record, remarks, carrier, lock }),
            Err(fault) => Err(match self.undo().await {
                Ok(_) => fault,
                Err(left) => fault.hint(format!("bowline vpn restore; not all is put back: {}", left.chain())),
            }),
        }
    }

    /// Takes the link down, by the process that holds it where there is one.
    ///
    /// # Errors
    /// There is none, or it is another one than `name`; what is left is told.
    pub async fn disconnect(&self, name: Option<&str>) -> Result<Record, Fault> {
        let record = self
            .record()?
            .ok_or_else(|| Fault::new(Kind::Refused, "vpn", "nothing is connected").hint("bowline vpn status"))?;
        if name.is_some_and(|name| name != record.name) {
            return Err(Fault::new(Kind::Refused, "vpn", format!("`{}` is connected, and nothing else", record.name))
                .hint(format!("bowline vpn disconnect {}", record.name)));
        }
        self.restore().await?;
        Ok(record)
    }

    /// Puts back what a link has changed; nothing where there is nothing. A client that still runs is told to end.
    ///
    /// # Errors
    /// A step failed: the record stays, and it can be tried again.
    pub async fn restore(&self) -> Result<bool, Fault> {
        let _lock = self.ended().await?;
        self.undo().await
    }

    /// The lock, once whoever held it has ended.
    async fn ended(&self) -> Result<Lock, Fault> {
        let mut waited = Duration::ZERO;
        loop {
            match Lock::take(&self.lock_path()) {
                Ok(lock) => return Ok(lock),
                Err(holder) if waited >= LONGEST_END => return Err(in_use(&holder)),
                Err(holder) if waited.is_zero() => holder.end(),
                Err(_) => {}
            }
            tokio::time::sleep(WAIT).await;
            waited += WAIT;
        }
    }

    /// Where the link's datagrams go, and what must stay outside for it.
    async fn way(
        &self,
        wanted: &Wanted,
        settings: &Settings,
    ) -> Result<(Option<Carrier>, SocketAddr, SocketAddr), Fault> {
        if let Some(via) = &wanted.via {
            let carrier = Carrier::open(via.clone()).await?;
            let (endpoint, outside) = (carrier.endpoint()?, carrier.outside());
            return Ok((Some(carrier), endpoint, outside));
        }
        let name = settings.endpoint();
        let away = || Fault::new(Kind::Unreachable, "vpn", format!("cannot find the server `{name}`"));
        let found = lookup_host(name).await.map_err(|cause| away().cause(cause))?.next().ok_or_else(away)?;
        Ok((None, found, found))
    }

    async fn make(
        &self,
        wanted: &Wanted,
        settings: &Settings,
        (endpoint, outside): (SocketAddr, SocketAddr),
        now: Timestamp,
        remarks: &mut Vec<String>,
    ) -> Result<Record, Fault> {
        let mut record = self.begun(wanted, settings, outside, now).await?;
        let routing = wanted.routing.clone().unwrap_or_else(|| settings.routing());
        self.bring_up(&record, &settings.file(endpoint, &routing)).await?;
        let resolved = self.tell_resolved(&record, settings, remarks).await;
        let dns = &settings.conf.interface.dns;
        let link = Link {
            interface: record.interface.clone(),
            outside,
            protocol: if wanted.via.is_some() { routing::TCP } else { routing::UDP },
            dns: dns.clone(),
            names: name_service::way(dns, record.resolver.as_ref(), resolved),
            carries_v6: settings.carries_v6(),
            speaks_v6: record.before.contains_key("-6 rule show"),
            table: record.table,
        };
        self.lead_through(&link, &routing, remarks).await?;
        if let Some(resolver) = &record.resolver
            && !(resolved == Resolved::Told && name_service::leads_to_resolved(resolver))
        {
            name_service::point_inside(resolver)?;
        }
        record.up = true;
        self.place().write(&record)?;
        Ok(record)
    }

    /// What is there, written down before anything is changed.
    async fn begun(
        &self,
        wanted: &Wanted,
        settings: &Settings,
        outside: SocketAddr,
        now: Timestamp,
    ) -> Result<Record, Fault> {
        let before = self.around.ip_answers(&restore::questions()).await;
        let everything = ["-4 rule show", "-4 route show table all", "-6 rule show", "-6 route show table all"];
        let all: String = self.around.ip_answers(&everything.map(str::to_owned)).await.into_values().collect();
        let interface = &settings.conf.interface;
        let record = Record {
            name: wanted.name.clone(),
            interface: wanted.interface.clone(),
            since: utc(now),
            outside: outside.to_string(),
            table: routing::free_table(&all),
            up: false,
            resolver: name_service::before(&self.around.resolver_file, &interface.dns, &interface.dns_search)?,
            before,
        };
        if self.around.devices().await?.contains(&wanted.interface) {
            return Err(Fault::new(Kind::Refused, "vpn", format!("there is an interface `{}`", wanted.interface))
                .hint("--interface NAME"));
        }
        self.place().write(&record)?;
        Ok(record)
    }

    /// Routes lead into the link that is up.
    async fn lead_through(&self, link: &Link, routing: &Routing, remarks: &mut Vec<String>) -> Result<(), Fault> {
        if *routing == Routing::Full {
            match link.names {
                Names::Inside => self.shut_other_ways_for_names(link.table, remarks).await?,
                Names::InsideUnlessBound => {
                    remarks.push("systemd-resolved may ask the networks of this machine for names".to_owned());
                }
                Names::AsBefore => remarks.push(NO_RESOLVER.to_owned()),
            }
        }
        self.around.ip_all(&routing::commands(link, routing)).await
    }

    /// A device that is going down at this moment needs no such route.
    async fn shut_other_ways_for_names(&self, table: u32, remarks: &mut Vec<String>) -> Result<(), Fault> {
        for arguments in routing::dead_ends(table, &self.around.networks().await?) {
            if let Err(fault) = self.around.ask("ip", &arguments).await {
                let why = fault.chain();
                remarks.push(format!("programs that are bound to a device may find names past the link: {why}"));
            }
        }
        Ok(())
    }

    /// Systemd-resolved, where it runs here, sends every question into the link from now on.
    async fn tell_resolved(&self, record: &Record, settings: &Settings, remarks: &mut Vec<String>) -> Resolved {
        let interface = &settings.conf.interface;
        if interface.dns.is_empty() || !self.around.resolved.exists() {
            return Resolved::Unasked;
        }
        for arguments in name_service::for_resolved(&record.interface, &interface.dns, &interface.dns_search) {
            if let Err(fault) = self.around.ask("resolvectl", &arguments).await {
                remarks.push(format!("systemd-resolved is not told of the link: {}", fault.chain()));
                return Resolved::Deaf;
            }
        }
        Resolved::Told
    }

    async fn bring_up(&self, record: &Record, file: &Secret) -> Result<(), Fault> {
        let path = self.conf_path(&record.interface);
        atomic::write_private(&path, file.expose().as_bytes()).map_err(|cause| {
            Fault::new(Kind::Config, "vpn", format!("cannot write `{}`", path.display())).cause(cause)
        })?;
        self.around.quick("up", &path.display().to_string()).await
    }

    /// Puts everything back. Names first: they must not lead into a link that is gone.
    async fn undo(&self) -> Result<bool, Fault> {
        let Some(record) = self.record()? else { return Ok(false) };
        if let Some(resolver) = &record.resolver {
            name_service::put_back(resolver)?;
        }
        let path = self.conf_path(&record.interface);
        if self.around.devices().await?.contains(&record.interface) {
            let delete = ["link", "delete", "dev", &record.interface].map(str::to_owned);
            self.around.ask("ip", &delete).await?;
        }
        let (now, devices) = (self.around.ip_answers(&restore::questions()).await, self.around.devices().await?);
        for arguments in restore::commands(&record, &now, &devices) {
            // A table that holds nothing cannot be flushed by every version of `ip`.
            if let Err(fault) = self.around.ask("ip", &arguments).await
                && !arguments.contains(&"flush".to_owned())
            {
                return Err(fault.hint("bowline vpn restore"));
            }
        }
        std::fs::remove_file(path).ok();
        self.place().remove()?;
        Ok(true)
    }

    fn place(&self) -> Place {
        Place(self.around.state.join("link.json"))
    }

    fn lock_path(&self) -> PathBuf {
        self.around.state.join("lock")
    }

    fn conf_path(&self, interface: &str) -> PathBuf {
        self.around.state.join(format!("{interface}.conf"))
    }

    /// What WireGuard says of the link: `wg show INTERFACE dump`, the line of its peer.
    ///
    /// # Errors
    /// There is no such interface.
    pub async fn peer(&self, record: &Record) -> Result<Vec<String>, Fault> {
        let arguments = ["show", &record.interface, "dump"].map(str::to_owned);
        let text = self.around.ask("wg", &arguments).await?;
        Ok(text.lines().nth(1).unwrap_or_default().split('\t').map(str::to_owned).collect())
    }
}

impl Connected {
    /// Whether it ends with this process.
    #[must_use]
    pub fn needs_us(&self) -> bool {
        self.carrier.is_some()
    }

    /// Holds the link up until `stopping`, then puts everything back.
    ///
    /// # Errors
    /// What could not be put back.
    pub async fn hold(self, client: &Client, stopping: impl Future<Output = ()>) -> Result<(), Fault> {
        match self.carrier {
            Some(carrier) => {
                tokio::select! {
                    () = carrier.run() => {}
                    () = stopping => {}
                }
            }
            None => stopping.await,
        }
        let undone = client.undo().await;
        drop(self.lock);
        undone.map(drop)
    }
}

/// Who holds the lock: the number of a process, where it told.
struct Holder(Option<i32>);

impl Holder {
    fn end(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        if let Some(pid) = self.0.and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).ok();
        }
    }
}

impl Lock {
    /// Whether somebody has it. Nothing is made or written: whoever takes the lock at this moment gets it all the same.
    fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn take(path: &Path) -> Result<Self, Holder> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
        let Ok(mut file) = file else { return Err(Holder(None)) };
        let mut looks = 0;
        while file.try_lock().is_err() {
            looks += 1;
            // Somebody who only looks is gone at once.
            if looks < MOST_LOOKS {
                std::thread::park_timeout(BETWEEN_LOOKS);
                continue;
            }
            let mut text = String::new();
            file.read_to_string(&mut text).ok();
            return Err(Holder(text.trim().parse().ok()));
        }
        // For whoever finds it held.
        file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes())).ok();
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.unlock().ok();
    }
}

fn in_use(holder: &Holder) -> Fault {
    let who = holder.0.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Fault::new(Kind::Refused, "vpn", format!("{who} is at work on a link"))
        .retry(Retry::After(Duration::from_secs(1)))
        .hint("bowline vpn status")
}
