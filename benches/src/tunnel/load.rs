//! What is done through the tunnel: `iperf3`, connections one after the other, pings, connections that do nothing.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bowline_rig::{Held, Rig, Service, waiting_room};

use crate::{Outcome, credentials::wait_until};

const SECONDS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);
/// Who connects at once.
const CALLERS: usize = 8;

/// Bytes that were moved in one direction.
pub(super) struct Transfer {
    pub(super) megabits: f64,
    pub(super) cpu_per_gb: f64,
}

/// Moves what goes through in [`SECONDS`] by `iperf3`; `cpu` tells what the server has used so far.
pub(super) fn transfer(rig: &Rig, streams: u32, down: bool, cpu: &dyn Fn() -> Outcome<f64>) -> Outcome<Transfer> {
    let target = Rig::TARGET.to_string();
    let mut server = rig.server.command("iperf3");
    server.args(["--server", "--one-off", "--bind", &target]).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Held::new(server.spawn()?);
    let listens = || rig.server.run("ss", &["-Hltn"]).is_ok_and(|text| text.contains(":5201"));
    wait_until(PATIENCE, "iperf3 listens", listens)?;
    let (time, parallel) = (SECONDS.to_string(), streams.to_string());
    let mut words = vec!["--client", &target, "--time", &time, "--parallel", &parallel, "--json"];
    words.extend(down.then_some("--reverse"));
    let before = cpu()?;
    let told: serde_json::Value = serde_json::from_str(&rig.clients[0].namespace.run("iperf3", &words)?)?;
    let used = cpu()? - before;
    let received = &told["end"]["sum_received"];
    let (bits, bytes) = (received["bits_per_second"].as_f64(), received["bytes"].as_f64());
    let (bits, bytes) = bits.zip(bytes).ok_or_else(|| format!("iperf3 tells no result: {told}"))?;
    Ok(Transfer { megabits: bits / 1e6, cpu_per_gb: used / (bytes / 1e9) })
}

/// Waits until the client gets through.
pub(super) fn settle(rig: &Rig) -> Outcome<()> {
    let target = Rig::TARGET.to_string();
    let through = || rig.clients[0].namespace.run("ping", &["-c", "1", "-W", "1", &target]).is_ok();
    wait_until(PATIENCE, "the client gets through", through)
}

/// The mean of thirty pings, in milliseconds.
pub(super) fn ping(rig: &Rig) -> Outcome<f64> {
    let target = Rig::TARGET.to_string();
    let told = rig.clients[0].namespace.run("ping", &["-q", "-c", "30", "-i", "0.05", "-W", "2", &target])?;
    let mean = told.split("mdev = ").nth(1).and_then(|rest| rest.split('/').nth(1)?.parse().ok());
    mean.ok_or_else(|| format!("ping tells no times: {told}").into())
}

/// Connections that are opened, get a byte, and are closed by the server.
pub(super) fn connections_a_second(rig: &Rig) -> Outcome<f64> {
    let service = Service::start(&rig.server, (Rig::TARGET, 0).into(), |mut stream| {
        stream.write_all(b"x").ok();
    })?;
    let (address, count) = (service.address(), AtomicU64::new(0));
    let start = Instant::now();
    let limit = Duration::from_secs(SECONDS.into());
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                rig.clients[0].namespace.enter(|| {
                    while start.elapsed() < limit {
                        let got = TcpStream::connect_timeout(&address, PATIENCE)
                            .and_then(|mut stream| stream.read_to_end(&mut Vec::new()));
                        count.fetch_add(u64::from(matches!(got, Ok(1))), Ordering::Relaxed);
                    }
                });
            });
        }
    });
    Ok(count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// Connections that were opened and do nothing.
pub(super) struct IdleFlows {
    _streams: Vec<TcpStream>,
    _listener: TcpListener,
}

/// `count` of them, all arrived.
pub(super) fn idle_flows(rig: &Rig, count: usize) -> Outcome<IdleFlows> {
    let listener = waiting_room(&rig.server, (Rig::TARGET, 0).into(), i32::try_from(count)? + 16)?;
    let address = listener.local_addr()?;
    let open = || (0..count).map(|_| TcpStream::connect_timeout(&address, PATIENCE)).collect::<std::io::Result<_>>();
    let streams = rig.clients[0].namespace.enter(open)?;
    Ok(IdleFlows { _streams: streams, _listener: listener })
}
