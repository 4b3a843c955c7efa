//! `device-config`: what is printed and what is not, what is written and when, who is woken; and the kernel's word that an
//! address has changed.

use std::{fs, path::Path, process::Command, time::Duration};

use super::site::{A, B, OWNER, Site, quick};
use crate::harness::{fetch, free_address, is_private, skip, until};

/// A hook that adds a line to `woken`.
fn hook(site: &Site) -> String {
    format!("sh -c 'echo $BOWLINE_DEVICE_CONFIG >> {}'", site.world.path("woken").display())
}

fn woken(site: &Site) -> usize {
    fs::read_to_string(site.world.path("woken")).unwrap_or_default().lines().count()
}

/// The pre-shared keys of the only connection that the fake `name` has made, by its own word: the last ones, for an earlier
/// run may have left others.
pub(super) fn keys(name: &str) -> Vec<String> {
    let ledger = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(format!("test-secrets/{name}.txt"));
    let text = fs::read_to_string(ledger).unwrap();
    let all: Vec<&str> = text.lines().filter(|line| line.starts_with("psk_")).collect();
    all[all.len() - 2..].iter().map(|key| (*key).to_owned()).collect()
}

/// `device-config` with credentials and no provider.
fn device(site: &Site, more: &[&str]) -> crate::harness::Finished {
    site.world.run_foreign("device-config", site.bare("device-config").args(more))
}

#[test]
fn keys_are_printed_only_when_asked_for_and_written_beside() {
    let name = "gateway-device";
    let site = Site::new(name, quick());
    let printed = device(&site, &[]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    for words in ["remote_addrs = 192.0.2.11", "id = 198.51.100.1", "start_action = start", "if_id_in = 1"] {
        assert!(printed.stdout.contains(words), "{words}: {}", printed.stdout);
    }
    let keys = keys(name);
    assert!(!keys.iter().any(|key| printed.stdout.contains(key) || printed.stderr.contains(key)));
    let revealed = device(&site, &["--reveal"]);
    assert!(keys.iter().all(|key| revealed.stdout.contains(&format!("secret = \"{key}\""))));
    site.world.forget_output("device-config");
    let path = site.world.path("aws.conf");
    let output = ["--output", path.to_str().unwrap()];
    assert_eq!(device(&site, &[&output[..], &["--check"]].concat()).code, Some(3), "nothing is there yet");
    assert!(!path.exists());
    let hook = hook(&site);
    let put = [&output[..], &["--hook", &hook]].concat();
    assert_eq!((device(&site, &put).code, woken(&site)), (Some(0), 1));
    let again = device(&site, &put);
    assert!(again.stderr.contains("nothing has changed") && woken(&site) == 1, "{}", again.stderr);
    assert_eq!(device(&site, &[&output[..], &["--check"]].concat()).code, Some(0));
    let secrets = site.world.path("aws.secrets");
    assert!(is_private(&path) && is_private(&secrets));
    assert!(keys.iter().all(|key| fs::read_to_string(&secrets).unwrap().contains(key)));
    assert!(fs::read_to_string(&path).unwrap().contains("include \"aws.secrets\""));
    assert_eq!(device(&site, &["--vpn-connection", "vpn-0"]).code, Some(2));
    assert_eq!(device(&site, &["--check"]).code, Some(2), "what is to be checked is not said");
    assert_eq!(site.changes(), [0, 0, 0]);
}

#[test]
fn the_daemon_keeps_the_file_and_wakes_the_device_once_a_change() {
    let site = Site::new("gateway-device-follow", quick());
    let path = site.world.path("aws.conf");
    let config = format!(
        "[gateway]\ndevice-config = {{ path = \"{}\", hook = \"{}\" }}\n",
        path.display(),
        hook(&site).replace('"', "\\\"")
    );
    site.world.write("bowline.toml", &config);
    let file = site.world.path("bowline.toml");
    let _running = site.start(&["--owner", OWNER, "--config", file.to_str().unwrap()]);
    let is_for = |address| fs::read_to_string(&path).is_ok_and(|text| text.contains(&format!("id = {address}\n")));
    until(Duration::from_secs(15), "the file is there and the device woken", || is_for(A) && woken(&site) == 1);
    site.moves_to(B);
    until(Duration::from_secs(15), "the file follows", || is_for(B) && woken(&site) == 2);
    site.settles(B, 0);
    site.looks(3);
    assert_eq!(woken(&site), 2, "nothing has changed since");
}

#[test]
fn a_device_that_was_not_woken_is_shown_counted_and_told_once() {
    let site = Site::new("gateway-device-broken", quick());
    let (path, mended, told) = (site.world.path("aws.conf"), site.world.path("mended"), site.world.path("told"));
    let page = free_address();
    let more = format!(
        "on-change = \"sh -c 'cat >> {}'\"\ndevice-config = {{ path = \"{}\", hook = \"{}\" }}\n",
        told.display(),
        path.display(),
        format_args!("sh -c 'test -e {} || {{ echo no charon >&2; exit 3; }}'", mended.display())
    );
    let config = site.configured_at(page, &more);
    let mut command = site.world.bowline(&["run", "--config", &config]);
    site.sign(&mut command);
    let process = site.world.start("run", &mut command);
    let shown = |path: &str, words: &str| fetch(page, path).is_ok_and(|answer| answer.text().contains(words));
    let patience = Duration::from_secs(15);
    until(patience, "readiness says so", || shown("/readyz", "no charon"));
    until(patience, "it is counted", || shown("/metrics", "bowline_gateway_device_configs_total{result=\"failed\"}"));
    assert!(shown("/status.json", "\"device_config\"") && shown("/readyz", "gateway.device"));
    let messages = || fs::read_to_string(&told).unwrap_or_default().matches("does not have its configuration").count();
    until(patience, "it is told", || messages() >= 1);
    site.looks(6);
    assert_eq!(messages(), 1, "once");
    assert_eq!(process.stderr().matches("the hook failed").count(), 1, "{}", process.stderr());
    site.world.write("mended", "");
    until(patience, "it has what AWS says", || shown("/readyz", "has what AWS says"));
    assert!(shown("/metrics", "bowline_gateway_device_configs_total{result=\"woken\"} 1"));
}

#[test]
fn the_kernels_word_that_an_address_changed_ends_the_wait() {
    let inside = |id: u32, line: &str| {
        let id = id.to_string();
        Command::new("nsenter")
            .args(["-t", &id, "--net", "ip"])
            .args(line.split(' '))
            .status()
            .is_ok_and(|end| end.success())
    };
    let site = Site::new("gateway-events", quick());
    if !Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|end| end.success()) {
        skip!("address events wake the gateway: no network namespace may be made");
    }
    let mut command = Command::new("unshare");
    let line = site.bare("run");
    command.arg("--net").arg(line.get_program()).args(line.get_args()).env_clear();
    command.envs(line.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--allow-test-addresses", "--confirm", "1", "--interval", "1h", "--ip-provider", "interface:lo"]);
    let running = site.world.start("run", &mut command);
    let patience = Duration::from_secs(15);
    until(patience, "it has looked once", || running.stderr().contains("no address that enough providers agree on"));
    assert!(inside(running.id(), "link set lo up") && inside(running.id(), "address add 198.51.100.1/24 dev lo"));
    until(patience, "it hears of it", || running.stderr().contains("the address may have changed"));
    until(patience, "it reads the address", || running.stderr().contains("198.51.100.1"));
}
