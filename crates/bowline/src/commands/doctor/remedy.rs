//! What `--fix` may do by itself: set modes, make private directories, and remove a socket that nobody answers on, of this
//! user only. Nothing else is deleted.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use bowline_base::{atomic, shell::quoted_path};
use bowline_host::listen;

/// A step that cannot make anything worse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// `chmod MODE PATH`
    Mode(PathBuf, u32),
    /// `mkdir -p -m 700 PATH`
    Directory(PathBuf),
    /// `rm PATH`, unless somebody answers there after all.
    DeadSocket(PathBuf),
}

impl Remedy {
    /// The command that does the same.
    pub(super) fn command(&self) -> String {
        match self {
            Self::Mode(path, mode) => format!("chmod {mode:o} {}", quoted_path(path)),
            Self::Directory(path) => format!("mkdir -p -m 700 {}", quoted_path(path)),
            Self::DeadSocket(path) => format!("rm {}", quoted_path(path)),
        }
    }

    pub(super) fn take(&self) -> io::Result<()> {
        match self {
            Self::Mode(path, mode) => fs::set_permissions(path, Permissions::from_mode(*mode)),
            Self::Directory(path) => atomic::private_directory(path),
            Self::DeadSocket(path) => listen::remove_dead_socket(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(Remedy::Mode("/h/.aws/credentials".into(), 0o600).command(), "chmod 600 /h/.aws/credentials");
        assert_eq!(Remedy::Mode("/h/it's; rm".into(), 0o600).command(), r"chmod 600 '/h/it'\''s; rm'");
        assert_eq!(Remedy::Directory("/h/a b".into()).command(), "mkdir -p -m 700 '/h/a b'");
        assert_eq!(Remedy::DeadSocket("/run/b/sock".into()).command(), "rm /run/b/sock");
    }
}
