//! A site: a fake EC2, three providers of the address that say what they are told, and the program between them.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bowline_base::Credentials;
use bowline_fakeaws::{NewConnection, NewGateway, Settings, VpnManners};
use bowline_host::clock;

use crate::harness::{Finished, Running, World, free_address, until};

pub(crate) const A: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub(crate) const C: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
pub(crate) const OWNER: &str = "site-1";

/// Longer than any change here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(18);

/// A whole answer of a provider.
type Answers = Arc<Mutex<[String; 3]>>;

/// A site with one connection at A, owned by `site-1`.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) connection: String,
    providers: SocketAddr,
    answers: Answers,
    keys: [String; 2],
}

/// What EC2 does quickly, so that a story takes seconds.
pub(crate) fn quick() -> VpnManners {
    VpnManners { modify_time: Duration::from_millis(400), ..VpnManners::default() }
}

impl Site {
    pub(crate) fn new(name: &str, manners: VpnManners) -> Self {
        Self::with(name, OWNER, |settings| settings.vpn = manners)
    }

    /// The same made by hand: nothing bears an owner's tag.
    pub(super) fn untagged(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(name, "", change)
    }

    fn with(name: &str, owner: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let world = World::new(name, change);
        let key = world.cloud().add_user("gateway");
        let keys = texts(&key);
        let answers: Answers = Arc::default();
        let providers = serve(Arc::clone(&answers));
        let mut site = Self { world, connection: String::new(), providers, answers, keys };
        let gateway = site.gateway(Some(A), owner);
        site.connection = site.connect(&gateway, owner);
        site.moves_to(A);
        site
    }

    /// A customer gateway that is there already; gives its id.
    pub(crate) fn gateway(&self, address: Option<Ipv4Addr>, owner: &str) -> String {
        let tags = tags(owner);
        self.world.cloud().add_customer_gateway(&NewGateway {
            address: address.map(Into::into),
            tags,
            ..NewGateway::default()
        })
    }

    /// A connection that is there already; gives its id.
    pub(crate) fn connect(&self, gateway: &str, owner: &str) -> String {
        let new = NewConnection { customer_gateway: gateway.to_owned(), tags: tags(owner), ..NewConnection::default() };
        self.world.cloud().add_vpn_connection(&new)
    }

    /// Every provider says so from now on.
    pub(crate) fn moves_to(&self, address: Ipv4Addr) {
        self.said([0, 1, 2], &format!("{address}\n"));
    }

    /// These providers answer 200 with this body.
    pub(crate) fn said<const N: usize>(&self, providers: [usize; N], body: &str) {
        let length = body.len();
        self.answered(providers, &format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"));
    }

    /// These providers send exactly this and hang up; nothing at all is silence.
    pub(crate) fn answered<const N: usize>(&self, providers: [usize; N], answer: &str) {
        let mut answers = self.answers.lock().unwrap();
        providers.into_iter().for_each(|provider| answer.clone_into(&mut answers[provider]));
    }

    /// `bowline gateway COMMAND` with credentials and a region.
    pub(crate) fn bare(&self, command: &str) -> Command {
        let mut line = self.world.bowline(&["gateway", command]);
        self.sign(&mut line);
        line
    }

    /// The same with three providers and `more`.
    pub(crate) fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut line = self.unsigned(command, more);
        self.sign(&mut line);
        line
    }

    /// The same without credentials and region.
    pub(super) fn unsigned(&self, command: &str, more: &[&str]) -> Command {
        let mut line = self.world.bowline(&["gateway", command]);
        line.arg("--allow-test-addresses");
        for provider in 0..3 {
            line.args(["--ip-provider", &format!("http://{}/{provider}", self.providers)]);
        }
        line.args(more);
        line
    }

    /// From now on the program signs with these keys.
    pub(crate) fn sign_as(&mut self, keys: &Credentials) {
        self.keys = texts(keys);
    }

    /// The keys as a profile of `~/.aws/credentials`, for programs that are given none.
    pub(crate) fn keys_in_file(&self, profile: &str) {
        let [id, secret] = &self.keys;
        let text = format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        self.world.write(".aws/credentials", &text);
    }

    /// Gives `command` keys and a region.
    pub(crate) fn sign(&self, command: &mut Command) {
        command.env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", &self.keys[0]).env("AWS_SECRET_ACCESS_KEY", &self.keys[1]);
    }

    /// Writes a `bowline.toml` with a `[gateway]` that looks several times a second and has `more`; gives its path.
    pub(crate) fn configured(&self, more: &str) -> String {
        self.configured_at(free_address(), more)
    }

    /// The same with this address for the status page.
    pub(crate) fn configured_at(&self, status: SocketAddr, more: &str) -> String {
        let providers = [0, 1, 2].map(|number| format!("\"http://{}/{number}\"", self.providers)).join(", ");
        let text = format!(
            "[daemon]\nlisten = \"{status}\"\n[gateway]\nowner = \"{OWNER}\"\nip-providers = [{providers}]\n\
             interval = \"400ms\"\nsettle-poll = \"100ms\"\nmin-change-interval = \"0s\"\nallow-test-addresses = true\n{more}"
        );
        self.world.write("bowline.toml", &text);
        self.world.path("bowline.toml").display().to_string()
    }

    /// The same run to its end.
    #[track_caller]
    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Finished {
        self.world.run_foreign(command, &mut self.command(command, more))
    }

    /// `bowline gateway run`, looking several times a second.
    pub(crate) fn start(&self, more: &[&str]) -> Running {
        let quick = ["--interval", "400ms", "--settle-poll", "100ms", "--min-change-interval", "0s"];
        let mut command = self.command("run", &quick);
        self.world.start("run", command.args(more))
    }

    /// Where our connection points, if it is available.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.address_of(&self.connection)
    }

    pub(crate) fn address_of(&self, connection: &str) -> Option<Ipv4Addr> {
        let cloud = self.world.cloud();
        let connections = cloud.vpn_connections(clock::now());
        let found = connections.iter().find(|one| one.id == connection).filter(|one| one.state == "available")?;
        let gateways = cloud.customer_gateways();
        match gateways.iter().find(|one| one.id == found.customer_gateway)?.address? {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        }
    }

    /// How many gateways are there, whoever's.
    pub(crate) fn gateways(&self) -> usize {
        self.world.cloud().customer_gateways().len()
    }

    /// So many calls whose name begins so, whatever was answered.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        self.world.cloud().counts().sum(&format!("ec2.{name}"))
    }

    /// How often gateways were made, connections pointed elsewhere, gateways deleted, with success.
    pub(crate) fn changes(&self) -> [u64; 3] {
        ["CreateCustomerGateway.ok", "ModifyVpnConnection.ok", "DeleteCustomerGateway.ok"].map(|call| self.calls(call))
    }

    /// Waits until the connection is at `address`, and nothing but its gateway and `others` is there.
    #[track_caller]
    pub(crate) fn settles(&self, address: Ipv4Addr, others: usize) {
        until(PATIENCE, &format!("all is settled at {address}"), || {
            self.address() == Some(address) && self.gateways() == 1 + others
        });
    }

    /// Waits until `looks` more looks were made.
    #[track_caller]
    pub(crate) fn looks(&self, looks: u64) {
        let before = self.calls("DescribeVpnConnections");
        until(PATIENCE, "it looks again and again", || self.calls("DescribeVpnConnections") >= before + looks);
    }
}

fn texts(keys: &Credentials) -> [String; 2] {
    [keys.key_id.as_str().to_owned(), keys.secret_key.expose().to_owned()]
}

fn tags(owner: &str) -> Vec<(String, String)> {
    let owner = (!owner.is_empty()).then(|| ("bowline:owner".to_owned(), owner.to_owned()));
    owner.into_iter().chain([("Name".to_owned(), "Office".to_owned())]).collect()
}

/// Answers `GET /N` with the Nth answer, for ever.
fn serve(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // One that was hung up on has nothing to be told.
            thread::spawn(move || answer(stream, &answers).ok());
        }
    });
    address
}

fn answer(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&piece[..length]),
        }
    }
    let provider = request.iter().find_map(|byte| char::from(*byte).to_digit(10)).unwrap_or(0);
    let text = answers.lock().unwrap()[provider as usize].clone();
    if text.is_empty() {
        // Until whoever asks has had enough.
        return stream.read(&mut piece).map(drop);
    }
    stream.write_all(text.as_bytes())
}
