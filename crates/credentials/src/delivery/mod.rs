//! Ways out: credentials as other tools read them. Pure: values in, text out; whoever calls prints it.

pub mod env;
mod process_json;
mod shell;

pub use env::{Variables, child_environment};
pub use process_json::process_json;
pub use shell::Shell;

pub use crate::source::read_process_json;

use bowline_base::{Credentials, Fault, Kind, Timestamp, utc};

/// A set that has ended is never handed out: every tool would take it and fail later.
pub(crate) fn refuse_ended(credentials: &Credentials, now: Timestamp) -> Result<(), Fault> {
    if credentials.usable_at(now) {
        return Ok(());
    }
    let end = credentials.expires_at.map(utc).unwrap_or_default();
    Err(Fault::new(Kind::Unreachable, "delivery", format!("the credentials ended at {end}"))
        .hint("ask again: another set is fetched"))
}

#[cfg(test)]
pub(crate) mod tests {
    use bowline_base::{KeyId, Secret};

    use super::*;

    pub(crate) fn at() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// Quotes, dollars and a newline do not come from AWS; they come from whoever wants to break a shell.
    pub(crate) fn credentials() -> Credentials {
        Credentials {
            key_id: KeyId::new("ASIAEXAMPLE"),
            secret_key: Secret::new("a'b$c`d\"e\\f!g%h^i"),
            session_token: Some(Secret::new("line one\nline two/+=")),
            expires_at: Some(at() + std::time::Duration::from_secs(3600)),
            obtained_at: at(),
            account_id: Some("111122223333".to_owned()),
        }
    }
}
