//! MFA devices: each has codes that are taken once, as a time-based one is.

use std::collections::BTreeSet;

use crate::{call::Form, settings::Settings};

/// Codes that were taken already, with their devices.
#[derive(Default)]
pub(crate) struct Spent(BTreeSet<(String, String)>);

/// Whether the call came with the proof of a device; `Err` for a proof that is none, in AWS's words.
pub(crate) fn proven(spent: &mut Spent, settings: &Settings, form: &Form) -> Result<bool, &'static str> {
    let (serial, code) = match (form.field("SerialNumber"), form.field("TokenCode")) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        _ => {
            return Err(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code. ",
            );
        }
    };
    let Some(codes) = settings.mfa_devices.get(serial) else {
        return Err(
            "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number is valid and associated with this user. ",
        );
    };
    let good = codes.iter().any(|known| known == code);
    if good && spent.0.insert((serial.to_owned(), code.to_owned())) {
        return Ok(true);
    }
    Err("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
}
