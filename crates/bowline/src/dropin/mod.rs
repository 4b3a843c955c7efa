//! Other programs' names: called by one of them, this binary takes that program's command line and keeps its exit codes.
//!
//! Which one it is, the name alone tells: a symbolic link is all that is needed.

mod iam_sorry;
mod signing_helper;

use std::{ffi::OsStr, path::Path, process::ExitCode};

use crate::{environment::Environment, left_behind, output};

/// A program whose place this one takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropIn {
    /// `iam-sorry`, also called `aws-creds`: sealed manager keys and namespaced IAM users.
    IamSorry,
    /// AWS's `aws_signing_helper`, for IAM Roles Anywhere.
    SigningHelper,
}

impl DropIn {
    /// The program that is meant by `argv0`, the name under which this process was started.
    pub(crate) fn called(argv0: &OsStr) -> Option<Self> {
        match Path::new(argv0).file_name()?.to_str()? {
            "iam-sorry" | "aws-creds" => Some(Self::IamSorry),
            "aws_signing_helper" => Some(Self::SigningHelper),
            _ => None,
        }
    }

    /// Runs it to its end, with the arguments of this process.
    pub(crate) fn run(self, environment: Environment) -> ExitCode {
        if let Err(fault) = left_behind::refuse(&environment) {
            output::fault(&fault);
            return ExitCode::FAILURE;
        }
        match self {
            Self::IamSorry => iam_sorry::run(environment),
            Self::SigningHelper => signing_helper::run(environment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_alone_counts_wherever_it_stands() {
        for name in ["aws_signing_helper", "./aws_signing_helper", "/usr/local/bin/aws_signing_helper"] {
            assert_eq!(DropIn::called(OsStr::new(name)), Some(DropIn::SigningHelper), "{name}");
        }
        for name in ["iam-sorry", "aws-creds", "/home/dirk/bin/aws-creds"] {
            assert_eq!(DropIn::called(OsStr::new(name)), Some(DropIn::IamSorry), "{name}");
        }
        for name in ["bowline", "iam-sorry.py", "/opt/aws_signing_helper/bowline", "aws_signing_helper2", "", "/"] {
            assert_eq!(DropIn::called(OsStr::new(name)), None, "{name}");
        }
    }
}
