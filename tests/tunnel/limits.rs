//! What one client may use: bytes a second each way, and who waits for whom then.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
};

use bowline_rig::Service;

use super::{
    stage::{PATIENCE, Stage, target},
    traffic::noise_of,
};
use crate::harness::{elapsed, until};

const MIB: usize = 1 << 20;

/// The number behind `name` in the metrics.
fn metric(stage: &Stage, name: &str) -> f64 {
    let text = stage.page("/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no `{name}` in {text}"))
}

#[test]
fn a_download_keeps_to_its_limit_and_a_ping_does_not_wait_behind_it() {
    let Some(stage) = Stage::start("tunnel-download-limit", 1, &["--download-limit", "2 MiB"]) else { return };
    let service = Service::start(&stage.rig.server, target(), |mut stream| {
        stream.write_all(&noise_of(4 * MIB)).ok();
    })
    .unwrap();
    let start = elapsed();
    let mut stream = stage.connect(0, service.address());
    let (all, ping) = std::thread::scope(|scope| {
        let download = scope.spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).map(|_| all)
        });
        let ping = stage.run(0, &["ping", "-c", "5", "-i", "0.2", "-W", "3", "10.77.0.1"]);
        (download.join().unwrap().unwrap(), ping)
    });
    let took = elapsed() - start;
    assert!(all == noise_of(4 * MIB), "{} bytes came", all.len());
    assert!((1500..12_000).contains(&took.as_millis()), "4 MiB at 2 MiB a second took {took:?}");
    assert!(ping.stdout.contains("5 received"), "{}", ping.stdout);
    assert!(metric(&stage, "bowline_vpn_queue_delay_seconds_count ") > 100.0, "packets waited for their turn");
    let status = stage.status().unwrap();
    let longest = status["peers"][0]["queue-delay-seconds"].as_f64().unwrap();
    assert!(longest > 0.0, "{status}");
    assert!(metric(&stage, "bowline_vpn_round_trip_seconds_count ") >= 1.0, "and round trips were measured");
    assert!(status["peers"][0]["round-trip-seconds"].as_f64().is_some_and(|time| time > 0.0), "{status}");
}

#[test]
fn an_upload_keeps_to_its_limit_and_reaches_it() {
    let Some(stage) = Stage::start("tunnel-upload-limit", 1, &["--upload-limit", "1 MiB"]) else { return };
    let service = Service::start(&stage.rig.server, target(), |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&(all == noise_of(4 * MIB)).to_string().into_bytes()).ok();
    })
    .unwrap();
    let start = elapsed();
    let mut stream = stage.connect(0, service.address());
    stream.write_all(&noise_of(4 * MIB)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let took = elapsed() - start;
    assert_eq!(answer, "true", "every byte arrived once");
    assert!((3500..6000).contains(&took.as_millis()), "4 MiB at 1 MiB a second took {took:?}");
    assert!(metric(&stage, "bowline_vpn_queue_delay_seconds_count ") > 100.0, "packets waited for their turn");
}

#[test]
fn mail_goes_out_where_the_operator_says_so() {
    let Some(stage) = Stage::start("tunnel-mail", 1, &["--allow-smtp"]) else { return };
    let greeting = |mut stream: std::net::TcpStream| {
        stream.write_all(b"220 mail\r\n").ok();
    };
    let service = Service::start(&stage.rig.server, (bowline_rig::Rig::TARGET, 25).into(), greeting).unwrap();
    let mut answer = String::new();
    stage.connect(0, service.address()).read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "220 mail\r\n");
    until(PATIENCE, "it is one connection", || service.accepted() == 1);
}
