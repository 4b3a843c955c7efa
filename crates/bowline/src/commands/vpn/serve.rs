//! `bowline vpn serve --peers FILE`: the tunnel alone, in the foreground, until SIGTERM.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bowline_base::{Fault, Kind};
use bowline_host::{Address, Listeners, Tasks, Verdict, addresses, clock, metrics::Metrics};
use bowline_tunnel::{Stats, usage::Usage, wg_conf::Conf};
use tracing::{error, info, warn};

use super::{
    job::{TunnelJob, checks},
    peers_file,
    settings::{self, Machine},
};
use crate::{
    cli::VpnServe,
    daemon::{
        Signalled, Signals,
        board::Board,
        confinement::{self, Named},
        health, status_page,
    },
    environment::Environment,
    health::Server,
    logging,
    troubles::Troubles,
    world::small_runtime,
};

/// How often usage is written down, and whether the packet path runs is looked at.
const ROUND: Duration = Duration::from_secs(5);

pub(super) fn run(environment: &Environment, arguments: &VpnServe, file: &Path) -> Result<(), Fault> {
    let troubles = logging::start(environment.var("LOG_LEVEL"))?;
    bind(environment, arguments, file)?;
    bowline_host::process::raise_file_limit();
    let conf = peers_file::read(file)?;
    let config = settings::config(arguments, &conf, &this_machine())?;
    let usage = load_usage(arguments.limits.usage.as_deref())?;
    let peers = settings::peers(&conf, &usage);
    let runtime = small_runtime()?;
    let outcome = runtime.block_on(async {
        let signals = Signals::listen()?;
        let egress = Arc::clone(&config.egress);
        let job = TunnelJob::begin(config, peers)?;
        let (tasks, listeners, board) = (Tasks::new(), Listeners::default(), board(&job, troubles));
        if let Some(address) = arguments.status {
            let bound = serve_status(&tasks, &listeners, address, board.clone()).await?;
            bound.iter().for_each(|address| egress.shut(address.port()));
        }
        health::open(environment, Server::Vpn, &tasks, &listeners, board).await;
        announce(&job.stats().unwrap_or_default());
        Serving { arguments, file, conf, usage, job }.attend(signals).await
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// To the files that it reads again and writes.
fn bind(environment: &Environment, arguments: &VpnServe, file: &Path) -> Result<(), Fault> {
    let named = Named { read: vec![file.to_owned()], written: arguments.limits.usage.clone().into_iter().collect() };
    confinement::enter_by_name(environment, &named).map(drop)
}

/// What runs until a signal ends it.
struct Serving<'a> {
    arguments: &'a VpnServe,
    file: &'a Path,
    conf: Conf,
    usage: Usage,
    job: TunnelJob,
}

impl Serving<'_> {
    async fn attend(mut self, mut signals: Signals) -> Result<(), Fault> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signalled::Reload => self.reload(),
                    // It has no address that changes.
                    Signalled::LookAgain => {}
                    Signalled::End => break,
                },
                () = tokio::time::sleep(ROUND) => {}
            }
            self.save_usage();
            if !self.job.is_running() {
                return Err(Fault::new(Kind::Bug, "vpn", "the packet path has ended")
                    .hint("this is a bug, please report it with the log; start it again meanwhile"));
            }
        }
        self.save_usage();
        info!("ended");
        Ok(())
    }

    /// A file with mistakes changes nothing.
    fn reload(&mut self) {
        let conf = match peers_file::read(self.file) {
            Ok(conf) => conf,
            Err(fault) => return error!(reason = %fault.message, "the peers are left as they are"),
        };
        if conf.interface != self.conf.interface {
            warn!("[Interface] is read at the start only; restart to use the new values");
        }
        self.save_usage();
        match self.job.replace(settings::peers(&conf, &self.usage)) {
            Ok(()) => info!(peers = conf.peers.len(), "the peers were read again"),
            Err(why) => error!(reason = %why, "the peers are left as they are"),
        }
    }

    fn save_usage(&mut self) {
        let Some(newer) = self.job.usage() else { return };
        let before = self.usage.clone();
        self.usage.update(&newer);
        let Some(path) = self.arguments.limits.usage.as_deref().filter(|_| self.usage != before) else { return };
        if let Err(error) = self.usage.save(path) {
            error!(%error, "what clients have used is not written down");
        }
    }
}

fn load_usage(path: Option<&Path>) -> Result<Usage, Fault> {
    path.map_or_else(|| Ok(Usage::default()), Usage::load).map_err(|error| {
        Fault::new(Kind::Config, "usage", error.to_string())
            .cause(error)
            .hint("move the file away to count from zero, or name another one by --usage")
    })
}

pub(crate) fn this_machine() -> Machine {
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    Machine { addresses: addresses::own(), resolv_conf }
}

fn board(job: &TunnelJob, troubles: Troubles) -> Board {
    let (metrics, board) = (Metrics::default(), Board::new(clock::now(), troubles));
    job.show(&metrics);
    board.add(Arc::new(job.clone()), metrics);
    board
}

/// Gives the address, with the port that the system chose.
async fn serve_status(
    tasks: &Tasks,
    listeners: &Listeners,
    address: SocketAddr,
    board: Board,
) -> Result<Option<SocketAddr>, Fault> {
    let listener = listeners.listen(&Address::Tcp(address)).await?;
    let bound = listener.local_addr();
    info!(address = ?bound, "the status page is served");
    status_page::serve(tasks, listener, board);
    Ok(bound)
}

/// What an operator should know once, at the start.
fn announce(stats: &Stats) {
    for check in checks(stats) {
        match check.verdict {
            Verdict::Ok => info!(check = check.id, "{}", check.why),
            _ => warn!(check = check.id, fix = check.fix, "{}", check.why),
        }
    }
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    bowline_host::memory::forget_the_start();
}
