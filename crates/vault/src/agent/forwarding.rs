//! Whether the agent sits on this machine. Whoever is root where an agent is forwarded to can ask it to sign, and so open
//! the store if they also have its file.

use std::path::Path;

/// Why an agent looks forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forwarded {
    /// The kernel says that sshd listens on the socket.
    #[error("the agent's socket belongs to sshd: the agent is forwarded from another machine")]
    Certainly,
    /// We are in an SSH session, and cannot see who listens.
    #[error("this is an SSH session, so the agent is probably forwarded from another machine")]
    Probably,
}

/// Decides from what the caller has looked up: whether `SSH_CONNECTION` is set, `SSH_AUTH_SOCK`, and the name of the
/// process that listens there, if the system tells.
#[must_use]
pub fn looks_forwarded(in_ssh_session: bool, socket: &Path, listener: Option<&str>) -> Option<Forwarded> {
    match listener {
        Some(name) if name.starts_with("sshd") => Some(Forwarded::Certainly),
        Some(_) => None,
        // sshd makes `agent.PID` in a folder of its own; agents of a desktop listen elsewhere.
        None if in_ssh_session => {
            let name = socket.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            (name.starts_with("agent.") || name.starts_with("s.")).then_some(Forwarded::Probably)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_decides_and_the_session_is_the_next_best() {
        let socket = Path::new("/tmp/ssh-abcdef/agent.123");
        assert_eq!(looks_forwarded(false, socket, Some("sshd")), Some(Forwarded::Certainly));
        assert_eq!(looks_forwarded(true, socket, Some("sshd-session")), Some(Forwarded::Certainly));
        assert_eq!(looks_forwarded(true, socket, Some("ssh-agent")), None);
        assert_eq!(looks_forwarded(true, socket, None), Some(Forwarded::Probably));
        assert_eq!(looks_forwarded(false, socket, None), None);
        assert_eq!(looks_forwarded(true, Path::new("/run/user/1000/keyring/ssh"), None), None);
    }
}
