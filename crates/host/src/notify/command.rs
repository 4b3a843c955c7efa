//! A command that is given each message: as JSON on stdin, and its parts as `BOWLINE_…` variables.

use std::{collections::BTreeMap, time::Duration};

use super::{message::Message, outbox::Outcome};
use crate::process;

/// The command, run without a shell.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its whole environment, besides what the message adds.
    pub environment: BTreeMap<String, String>,
    /// Then it is killed, with everything that it has started.
    pub limit: Duration,
}

impl Hook {
    /// How long a command may take.
    pub const LIMIT: Duration = Duration::from_secs(30);

    pub(super) async fn run(&self, message: &Message, machine: &str) -> Outcome {
        let mut environment = self.environment.clone();
        environment.extend(message.variables(machine));
        let input = format!("{}\n", message.document(machine));
        match process::feed(&self.argv, &environment, input.as_bytes(), self.limit).await {
            Ok(finished) if finished.success => Outcome::Delivered,
            Ok(finished) => Outcome::Later(ending(&finished)),
            Err(fault) => Outcome::Later(fault.chain()),
        }
    }
}

fn ending(finished: &process::Finished) -> String {
    let how = finished.code.map_or_else(|| "was killed".to_owned(), |code| format!("exited with {code}"));
    let said: String = finished.stderr.lines().next().unwrap_or_default().chars().take(200).collect();
    if said.is_empty() { format!("the command {how}") } else { format!("the command {how}: {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{Notifier, message::Event};

    fn sh(script: &str) -> Hook {
        let argv = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Hook { argv, environment, limit: Duration::from_secs(10) }
    }

    #[tokio::test]
    async fn it_gets_the_document_and_its_parts() {
        let home = tempfile::tempdir().unwrap();
        let seen = home.path().join("seen");
        let script = format!("cat > {0}; echo \"$BOWLINE_EVENT $BOWLINE_SUBJECT\" >> {0}", seen.display());
        let message = Notifier::trial(7);
        assert_eq!(sh(&script).run(&message, "host-1").await, Outcome::Delivered);
        let text = std::fs::read_to_string(seen).unwrap();
        let (json, rest) = text.split_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), message.document("host-1"));
        assert_eq!((rest, message.event), ("test notify\n", Event::Test));
    }

    #[tokio::test]
    async fn failures_are_told_and_one_that_reads_nothing_is_no_failure() {
        let message = Notifier::trial(7);
        let failed = sh("echo no such pager >&2; exit 3").run(&message, "h").await;
        assert_eq!(failed, Outcome::Later("the command exited with 3: no such pager".to_owned()));
        assert_eq!(sh("exec <&-; true").run(&message, "h").await, Outcome::Delivered);
        let absent = Hook { argv: vec!["/no/such".to_owned()], ..sh("") };
        assert!(
            matches!(absent.run(&message, "h").await, Outcome::Later(why) if why.contains("cannot run `/no/such`"))
        );
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_has_started() {
        let home = tempfile::tempdir().unwrap();
        let pid = home.path().join("pid");
        let hanging =
            Hook { limit: Duration::from_millis(500), ..sh(&format!("sleep 600 & echo $! > {}; wait", pid.display())) };
        assert!(
            matches!(hanging.run(&Notifier::trial(7), "h").await, Outcome::Later(why) if why.contains("did not end"))
        );
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        for _ in 0..500 {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
            if rustix::process::test_kill_process(pid).is_err() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child of the command still runs");
    }
}
