//! The password of a key, from wherever it is kept.

use std::collections::BTreeMap;

use bowline_awsfiles::Password;
use bowline_base::{Fault, Kind, Secret};
use zeroize::Zeroizing;

/// The password that `place` tells of: the first line of a file, a variable of `environment`, or itself.
///
/// # Errors
/// `Config`: it is not there; names the file or the variable.
pub fn password(place: &Password, environment: &BTreeMap<String, String>) -> Result<Secret, Fault> {
    match place {
        Password::Given(password) => Ok(password.clone()),
        Password::File(path) => {
            let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|cause| {
                Fault::new(Kind::Config, "x509", format!("cannot read the password in `{}`", path.display()))
                    .hint(format!("write it into `{}`, on one line", path.display()))
                    .cause(cause)
            })?;
            Ok(Secret::new(text.lines().next().unwrap_or_default()))
        }
        Password::Variable(name) => environment.get(name).map(|text| Secret::new(text.as_str())).ok_or_else(|| {
            Fault::new(Kind::Config, "x509", format!("the password's variable `{name}` is not set"))
                .hint(format!("set `{name}`, for the daemon too"))
        }),
    }
}
