//! What went wrong, decided once where it is known: exit codes, HTTP statuses and back-off read nothing else.

use std::{error::Error, time::Duration};

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line, a configuration file or an AWS file is wrong.
    Config,
    /// The other side understood and said no.
    Refused,
    /// The other side could not be reached, hung, or answered nonsense.
    Unreachable,
    /// A person has to sign in.
    LoginRequired,
    /// Stopped on purpose.
    Interrupted,
    /// Ours.
    Bug,
}

impl Kind {
    /// The exit code of a command that ends with this: 1 refused, 2 configuration, 4 try later, 5 login, 130 interrupted.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Refused | Self::Bug => 1,
            Self::Config => 2,
            Self::Unreachable => 4,
            Self::LoginRequired => 5,
            Self::Interrupted => 130,
        }
    }

    /// The HTTP status of an answer that ends with this. Never 404: a fault says nothing about existence.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Config | Self::Bug => 500,
            Self::Refused => 502,
            Self::Unreachable | Self::LoginRequired | Self::Interrupted => 503,
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not until something changes.
    Never,
    /// After at least this long.
    After(Duration),
}

/// A failure at a border of a crate: what, why, whose move, and the next command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whose move it is.
    pub kind: Kind,
    /// The part of the world it comes from: `sso-oidc`, `sts`, `s3`, a file path.
    pub origin: String,
    /// What failed: lower case, no final period, the thing in backticks.
    pub message: String,
    /// Whether trying again can help.
    pub retry: Retry,
    /// The exact next command or edit, if one is known.
    pub hint: Option<String>,
    /// Why.
    #[source]
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of `kind` from `origin`. Unreachable things may be tried again after a second, others never.
    #[must_use]
    pub fn new(kind: Kind, origin: impl Into<String>, message: impl Into<String>) -> Self {
        let retry = if kind == Kind::Unreachable { Retry::After(Duration::from_secs(1)) } else { Retry::Never };
        Self { kind, origin: origin.into(), message: message.into(), retry, hint: None, cause: None }
    }

    /// Adds the next command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the reason.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Adds reasons that another process told, the nearest first.
    #[must_use]
    pub fn because(mut self, reasons: Vec<String>) -> Self {
        let told = reasons.into_iter().rev().fold(None, |cause, why| Some(Box::new(Told { why, cause })));
        if let Some(told) = told {
            self.cause = Some(told);
        }
        self
    }

    /// Every cause below it, the nearest first.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let (mut causes, mut next) = (Vec::new(), self.source());
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }

    /// The message and every cause below it, in one line: `what: why: why`.
    #[must_use]
    pub fn chain(&self) -> String {
        let causes = self.causes().into_iter();
        causes.fold(self.message.clone(), |text, cause| text + ": " + &cause)
    }
}

/// See [`Fault::because`].
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Told {
    why: String,
    #[source]
    cause: Option<Box<Self>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_reads_from_what_to_why() {
        let fault = Fault::new(Kind::Refused, "sts", "role `ci` refused").cause(Fault::new(
            Kind::Refused,
            "sts",
            "token expired",
        ));
        assert_eq!(fault.chain(), "role `ci` refused: token expired");
    }

    #[test]
    fn reasons_that_were_told_elsewhere_read_as_those_that_happened_here() {
        let reasons = vec!["no answer".to_owned(), "connection refused".to_owned()];
        let fault = Fault::new(Kind::Unreachable, "sts", "`AssumeRole` failed").because(reasons.clone());
        assert_eq!(
            (fault.causes(), fault.chain().as_str()),
            (reasons, "`AssumeRole` failed: no answer: connection refused")
        );
        assert!(Fault::new(Kind::Bug, "x", "y").because(Vec::new()).cause.is_none());
    }
}
