//! The running tunnel, as the status page sees it.

use std::sync::{Arc, Mutex, PoisonError};

use bowline_base::{BoxFuture, Fault, Kind};
use bowline_host::{Check, Ctx, Job, Verdict, metrics::Metrics};
use bowline_tunnel::{ChangeError, Config, Handle, Peer, StartError, Stats, Tunnel, metrics, usage::Usage};
use serde_json::{Value, json};

/// What receive buffers a fast client needs: a burst must wait in them while the packet path is busy.
const ENOUGH: usize = 4 << 20;

/// A tunnel; clones are the same one.
#[derive(Clone)]
pub(super) struct TunnelJob {
    handle: Arc<Mutex<Handle>>,
}

impl TunnelJob {
    /// Binds the sockets and lets `peers` in.
    pub(super) fn begin(config: Config, peers: Vec<Peer>) -> Result<Self, Fault> {
        let handle = Tunnel::start(config, peers).map_err(not_started)?;
        Ok(Self { handle: Arc::new(Mutex::new(handle)) })
    }

    /// Makes `peers` the only ones.
    pub(super) fn replace(&self, peers: Vec<Peer>) -> Result<(), ChangeError> {
        self.with(|handle| handle.replace(peers))
    }

    /// Whether the packet path runs.
    pub(super) fn is_running(&self) -> bool {
        self.with(Handle::is_running)
    }

    /// What everybody has used, if the packet path answers.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.stats().map(|stats| Usage::of(&stats))
    }

    /// Everything at this moment, if the packet path answers.
    pub(super) fn stats(&self) -> Option<Stats> {
        self.with(Handle::stats).ok()
    }

    /// Makes its numbers visible.
    pub(super) fn show(&self, metrics: &Metrics) {
        let (numbers, times) = (self.clone(), self.clone());
        metrics.ask(move || numbers.stats().map(|stats| metrics::readings(&stats)).unwrap_or_default());
        metrics.ask_times(move || times.stats().map(|stats| metrics::times(&stats)).unwrap_or_default());
    }

    fn with<T>(&self, work: impl FnOnce(&Handle) -> T) -> T {
        work(&self.handle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Job for TunnelJob {
    fn name(&self) -> &'static str {
        "vpn"
    }

    /// It runs already: a tunnel is begun, not started.
    fn start<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<(), Fault>> {
        self.show(&ctx.metrics);
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> Value {
        self.stats().map_or(Value::Null, |stats| status(&stats))
    }

    fn checks(&self) -> Vec<Check> {
        self.stats().map_or_else(|| vec![stopped()], |stats| checks(&stats))
    }
}

fn not_started(error: StartError) -> Fault {
    let hint = match &error {
        StartError::Listen { .. } => "another program has the port: ss -lunp shows which; or --listen with another one",
        _ => "bowline vpn serve --help",
    };
    Fault::new(Kind::Config, "vpn", error.to_string()).cause(error).hint(hint)
}

fn status(stats: &Stats) -> Value {
    let peers: Vec<Value> = stats
        .peers
        .iter()
        .map(|(key, peer)| {
            json!({
                "public_key": key.to_string(),
                "endpoint": peer.endpoint.map(|endpoint| endpoint.to_string()),
                "last_handshake": peer.last_handshake.map(bowline_base::utc),
                "received": peer.received,
                "sent": peer.sent,
                "used": peer.used,
                "flows": {
                    "tcp": peer.flows.tcp,
                    "dialling": peer.flows.dialling,
                    "udp": peer.flows.udp,
                    "echo": peer.flows.echo,
                },
                "dropped": peer.dropped,
                "round-trip-seconds": peer.round_trip.map(|time| time.as_secs_f64()),
                "queue-delay-seconds": peer.queue_delay.as_secs_f64(),
            })
        })
        .collect();
    json!({
        "listening": stats.listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "receive_buffer": stats.receive_buffer,
        "handshakes": stats.handshakes,
        "cookies": stats.cookies,
        "retransmits": stats.retransmits,
        "drops": stats.drops,
        "denied": stats.denied,
        "peers": peers,
    })
}

/// How it stands, in the words of the log, the status page and `/readyz`.
pub(crate) fn checks(stats: &Stats) -> Vec<Check> {
    let check = |id: &str, verdict, why: String, fix: Option<&str>| Check {
        id: format!("vpn.{id}"),
        verdict,
        why,
        fix: fix.map(ToOwned::to_owned),
    };
    let places: Vec<String> = stats.listening.iter().map(ToString::to_string).collect();
    let why = format!("{} peers at {}", stats.peers.len(), places.join(", "));
    let mut checks = vec![check("tunnel", Verdict::Ok, why, None)];
    let granted = stats.receive_buffer;
    checks.push(if granted >= ENOUGH {
        check("buffers", Verdict::Ok, format!("{granted} bytes"), None)
    } else {
        let why =
            format!("the system grants receive buffers of {granted} bytes, not {ENOUGH}: fast clients lose packets");
        check("buffers", Verdict::Degraded, why, Some("sysctl -w net.core.rmem_max=4194304"))
    });
    checks.push(match &stats.ping {
        None => check("ping", Verdict::Ok, "clients can ping".to_owned(), None),
        Some(why) => {
            let fix = "sysctl -w net.ipv4.ping_group_range='0 2147483647'";
            check("ping", Verdict::Degraded, format!("clients cannot ping: {why}"), Some(fix))
        }
    });
    checks
}

fn stopped() -> Check {
    let why = "the packet path has ended; this is a bug, please report it".to_owned();
    Check { id: "vpn.tunnel".to_owned(), verdict: Verdict::Failed, why, fix: Some("restart it".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_buffers_and_a_closed_group_range_are_told_with_their_remedy() {
        let told = |stats: &Stats| checks(stats).into_iter().map(|check| (check.id, check.verdict)).collect::<Vec<_>>();
        let mut stats = Stats { receive_buffer: 8 << 20, ..Stats::default() };
        assert!(told(&stats).iter().all(|(_, verdict)| *verdict == Verdict::Ok));
        stats.receive_buffer = 212_992;
        stats.ping = Some("ping_group_range is closed".to_owned());
        let degraded = [("vpn.buffers".to_owned(), Verdict::Degraded), ("vpn.ping".to_owned(), Verdict::Degraded)];
        assert_eq!(told(&stats)[1..], degraded);
        assert!(checks(&stats)[1..].iter().all(|check| check.fix.is_some()));
    }
}
