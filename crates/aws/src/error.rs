//! What went wrong with a call, in terms that callers act on.

use std::{fmt, time::Duration};

use bowline_base::{Fault, Kind, Unavailable, units, wire::WireError};

use crate::{
    Service, ec2, iam,
    refusal::{self, Said},
};

/// A call that came to nothing. Becomes a [`Fault`] at the border.
#[derive(Debug)]
pub struct Error(Box<Details>);

#[derive(Debug)]
struct Details {
    service: Service,
    operation: &'static str,
    problem: Problem,
    ambiguous: bool,
}

#[derive(Debug)]
enum Problem {
    /// The service understood and said no, or that it could not just now.
    Said { status: u16, said: Said, drift: Option<i64> },
    /// What came is not from the service.
    Nonsense { status: Option<u16>, expected: String },
    /// Nothing came.
    Wire(WireError),
    /// The whole call took too long.
    OutOfTime(Duration),
    /// There were no credentials to sign with.
    NoCredentials(Unavailable),
    /// The call cannot be made with these values.
    Unusable(String),
}

impl Error {
    /// Which service was called.
    #[must_use]
    pub fn service(&self) -> Service {
        self.0.service
    }

    /// The call, as AWS names it: `AssumeRole`. Empty when no request could be made.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The HTTP status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.0.problem {
            Problem::Said { status, .. } => Some(*status),
            Problem::Nonsense { status, .. } => *status,
            Problem::Wire(_) | Problem::OutOfTime(_) | Problem::NoCredentials(_) | Problem::Unusable(_) => None,
        }
    }

    /// AWS's code: `AccessDenied`, `ExpiredToken`, `invalid_grant`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.said().and_then(|said| said.code.as_deref())
    }

    /// AWS's own words.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.said().map(|said| said.message.as_str())
    }

    /// What AWS's support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.said().and_then(|said| said.request_id.as_deref())
    }

    /// Whose move it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.0.problem {
            Problem::Said { said, .. } if said.region.is_some() => Kind::Config,
            Problem::Said { status, said, .. } if refusal::is_passing(self.0.service, *status, said) => {
                Kind::Unreachable
            }
            Problem::Said { .. } => Kind::Refused,
            // The console's sign-in is made for people: it refuses with a page.
            Problem::Nonsense { status: Some(400), .. } if self.0.service == Service::Signin => Kind::Refused,
            Problem::Nonsense { .. } | Problem::Wire(_) | Problem::OutOfTime(_) => Kind::Unreachable,
            Problem::NoCredentials(why) => why.0.kind,
            Problem::Unusable(_) => Kind::Config,
        }
    }

    /// There is no such key (and the bucket is there, and we may know).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404) && matches!(self.code(), Some("NoSuchKey" | "NoSuchVersion"))
    }

    /// The keys are good and not allowed to do this. S3 also says so of a missing key to those who may not list.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        let codes =
            ["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "UnauthorizedOperation"];
        self.code().is_some_and(|code| codes.contains(&code))
    }

    /// The keys, the token or the clock were refused, or there are no keys: nothing was said about the thing asked for.
    #[must_use]
    pub fn is_credential_failure(&self) -> bool {
        matches!(self.0.problem, Problem::NoCredentials(_))
            || self.code().is_some_and(refusal::is_about_credentials)
            || self.is_unauthorized()
    }

    /// The portal does not (or no longer) know the access token: refresh once, then ask for a login.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        let refused = self.said().is_some() && self.status() == Some(401);
        self.0.service == Service::Sso && (refused || self.code() == Some("UnauthorizedException"))
    }

    /// The object is as the caller already has it.
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.status() == Some(304)
    }

    /// The object has changed.
    #[must_use]
    pub fn is_precondition_failed(&self) -> bool {
        self.said().is_some() && self.status() == Some(412)
    }

    /// The range begins behind the object's end.
    #[must_use]
    pub fn is_range_unsatisfiable(&self) -> bool {
        self.said().is_some() && self.status() == Some(416)
    }

    /// An answer was lost after something that is good for one use had been sent: it may be spent.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.0.ambiguous
    }

    /// The region that the bucket is in, when it is another.
    #[must_use]
    pub fn right_region(&self) -> Option<&str> {
        self.said().and_then(|said| said.region.as_deref())
    }

    pub(crate) fn said_by(service: Service, operation: &'static str, status: u16, said: Said) -> Self {
        Self::new(service, operation, Problem::Said { status, said, drift: None })
    }

    pub(crate) fn nonsense(service: Service, operation: &'static str, status: Option<u16>, expected: &str) -> Self {
        Self::new(service, operation, Problem::Nonsense { status, expected: expected.to_owned() })
    }

    pub(crate) fn wire(service: Service, operation: &'static str, error: WireError) -> Self {
        Self::new(service, operation, Problem::Wire(error))
    }

    pub(crate) fn out_of_time(service: Service, operation: &'static str, total: Duration) -> Self {
        Self::new(service, operation, Problem::OutOfTime(total))
    }

    pub(crate) fn no_credentials(service: Service, operation: &'static str, why: Unavailable) -> Self {
        Self::new(service, operation, Problem::NoCredentials(why))
    }

    /// What signs cannot sign.
    pub(crate) fn no_credentials_for(service: Service, why: Fault) -> Self {
        Self::no_credentials(service, "", why.into())
    }

    pub(crate) fn unusable(service: Service, what: &str) -> Self {
        Self::new(service, "", Problem::Unusable(what.to_owned()))
    }

    pub(crate) fn ambiguous(mut self) -> Self {
        self.0.ambiguous = true;
        self
    }

    /// Notes that the host's clock is `seconds` ahead of ours.
    pub(crate) fn with_drift(mut self, seconds: i64) -> Self {
        if let Problem::Said { drift, .. } = &mut self.0.problem {
            *drift = Some(seconds);
        }
        self
    }

    fn new(service: Service, operation: &'static str, problem: Problem) -> Self {
        Self(Box::new(Details { service, operation, problem, ambiguous: false }))
    }

    fn said(&self) -> Option<&Said> {
        if let Problem::Said { said, .. } = &self.0.problem { Some(said) } else { None }
    }

    /// The next command, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.0.problem {
            Problem::Said { said, .. } if said.region.is_some() => {
                said.region.as_ref().map(|region| format!("set the region to `{region}`"))
            }
            Problem::Said { drift: Some(seconds), .. } if seconds.unsigned_abs() >= NOTABLE_DRIFT => {
                Some("set this machine's clock, for example with `timedatectl set-ntp true`".to_owned())
            }
            Problem::NoCredentials(why) => why.0.hint.clone(),
            Problem::Wire(_) | Problem::OutOfTime(_) => {
                let variable = self.0.service.variable();
                Some(format!("try again later; look at the network, HTTPS_PROXY and {variable} if it lasts"))
            }
            Problem::Said { .. } if self.0.service == Service::Iam => {
                iam::Why::of(self).map(|why| why.fix().to_owned())
            }
            Problem::Said { .. } if self.0.service == Service::Ec2 => {
                ec2::Why::of(self).map(|why| why.fix().to_owned())
            }
            Problem::Said { .. } if self.kind() == Kind::Unreachable => Some("try again later".to_owned()),
            Problem::Nonsense { .. } => Some("look for a proxy or a sign-in page between here and AWS".to_owned()),
            Problem::Said { .. } | Problem::Unusable(_) => None,
        }
    }
}

/// AWS takes signatures up to five minutes off; below a minute a clock is not worth a word.
const NOTABLE_DRIFT: u64 = 60;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { operation, service, problem, .. } = &*self.0;
        let service = service.origin();
        match problem {
            Problem::Said { status, said, drift } => {
                let verb = if self.kind() == Kind::Unreachable { "failed at" } else { "refused by" };
                write!(f, "`{operation}` {verb} {service}: {}", said.message)?;
                if let Some(seconds) = drift.filter(|seconds| seconds.unsigned_abs() >= NOTABLE_DRIFT) {
                    let apart = units::duration(Duration::from_secs(seconds.unsigned_abs()));
                    let side = if seconds > 0 { "behind" } else { "ahead of" };
                    write!(f, "; this machine's clock is {apart} {side} AWS's")?;
                }
                write!(
                    f,
                    " ({}status {status}",
                    said.code.as_ref().map(|code| format!("{code}, ")).unwrap_or_default()
                )?;
                said.request_id.as_ref().map_or(Ok(()), |id| write!(f, ", request {id}"))?;
                f.write_str(")")
            }
            Problem::Nonsense { status: Some(status), expected } => {
                write!(f, "`{operation}`: {service} answered with something that is not {expected} (status {status})")
            }
            Problem::Nonsense { status: None, expected } => {
                write!(f, "`{operation}`: {service} answered with something that is not {expected}")
            }
            Problem::Wire(_) => write!(f, "`{operation}` got no answer from {service}"),
            Problem::OutOfTime(total) => {
                write!(f, "`{operation}` got no answer from {service} within {}", units::duration(*total))
            }
            Problem::NoCredentials(why) => fmt::Display::fmt(why, f),
            Problem::Unusable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.problem {
            Problem::Wire(error) => Some(error),
            Problem::NoCredentials(why) => why.0.source(),
            Problem::Said { .. } | Problem::Nonsense { .. } | Problem::OutOfTime(_) | Problem::Unusable(_) => None,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let mut fault = Self::new(error.kind(), error.0.service.origin(), error.to_string());
        fault.hint = error.hint();
        match error.0.problem {
            Problem::Wire(cause) => fault.cause(cause),
            Problem::NoCredentials(why) => {
                fault.origin.clone_from(&why.0.origin);
                let fault = fault.retry(why.0.retry);
                if why.0.cause.is_some() { fault.cause(Cause(why)) } else { fault }
            }
            Problem::Said { .. } | Problem::Nonsense { .. } | Problem::OutOfTime(_) | Problem::Unusable(_) => fault,
        }
    }
}

/// The cause of a shared fault, which cannot be moved out of it.
#[derive(Debug)]
struct Cause(Unavailable);

impl Cause {
    fn inner(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner().and_then(std::error::Error::source)
    }
}
