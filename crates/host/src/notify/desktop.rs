//! The desktop of the session that the daemon runs in: `notify-send`, or `osascript` on macOS.

use std::{collections::BTreeMap, time::Duration};

use super::{
    message::{Message, Severity},
    outbox::Outcome,
};
use crate::{process, sys};

/// A desktop that can show messages.
#[derive(Clone, Debug)]
pub struct Desktop {
    environment: BTreeMap<String, String>,
}

const LIMIT: Duration = Duration::from_secs(10);

impl Desktop {
    /// The desktop that `environment` leads to; `None` where there is no session bus and no display.
    #[must_use]
    pub fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        let session = sys::SESSION_VARIABLES.iter().any(|name| set(name)) || sys::SESSION_VARIABLES.is_empty();
        session.then(|| Self { environment: environment.clone() })
    }

    /// The program that shows messages, looked for on PATH.
    #[must_use]
    pub fn program() -> String {
        sys::desktop_command("", "", false).swap_remove(0)
    }

    pub(super) async fn show(&self, message: &Message) -> Outcome {
        let title = format!("Bowline: {} {}", message.kind, message.subject);
        let body = message.fix.as_ref().map_or_else(|| message.text.clone(), |fix| format!("{}\n{fix}", message.text));
        let argv = sys::desktop_command(&title, &body, message.severity == Severity::Critical);
        match process::feed(&argv, &self.environment, b"", LIMIT).await {
            Ok(finished) if finished.success => Outcome::Delivered,
            Ok(finished) => Outcome::Refused(format!("`{}` failed: {}", argv[0], finished.stderr)),
            Err(fault) => Outcome::Refused(fault.chain()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Notifier;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn there_is_one_only_inside_a_session() {
        assert!(Desktop::of(&environment(&[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1/bus")])).is_some());
        assert!(!cfg!(target_os = "linux") || Desktop::of(&environment(&[("DISPLAY", "")])).is_none());
    }

    #[tokio::test]
    async fn the_program_gets_title_and_text_as_arguments_and_a_missing_one_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        let variables = [("DISPLAY", ":0"), ("PATH", path.as_str())];
        let desktop = Desktop::of(&environment(&variables)).unwrap();
        let missing = desktop.show(&Notifier::trial(7)).await;
        assert!(matches!(missing, Outcome::Refused(why) if why.contains("cannot run")));
        let program = home.path().join(sys::desktop_command("", "", false)[0].clone());
        let script = format!("#!/bin/sh\nprintf '%s|' \"$@\" > {path}/seen\n");
        bowline_base::atomic::write(&program, script.as_bytes(), 0o700).unwrap();
        assert!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o100 != 0);
        assert_eq!(desktop.show(&Notifier::trial(7)).await, Outcome::Delivered);
        let seen = std::fs::read_to_string(home.path().join("seen")).unwrap();
        assert!(seen.contains("|Bowline: test notify|"), "{seen}");
    }
}
