//! Device code: a code is shown here and approved on any device.

use std::time::Duration;

use bowline_aws::sso_oidc::{self, DeviceAuthorization, Grant, Refusal, Token};
use bowline_awsfiles::Registration;
use bowline_base::{Fault, Kind};

use super::{
    Attempt, LoginEvent, Trouble,
    polling::{Heard, Polling},
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) async fn sign_in(
    attempt: &Attempt<'_>,
    tell: &mut (dyn FnMut(LoginEvent) + Send),
) -> Result<(Registration, Token), Trouble> {
    let fits = |kept: &Registration| kept.may_grant(GRANT_TYPE) && !kept.scopes.is_empty();
    let registration = attempt.registration(fits, &[GRANT_TYPE, "refresh_token"], &[]).await?;
    let client = Attempt::client(&registration);
    let start_url = &attempt.login.start_url;
    let asked = sso_oidc::start_device_authorization(&attempt.aws, &attempt.region, &client, start_url).await;
    let device = asked.map_err(|error| attempt.explain(error))?;
    tell(LoginEvent::Device {
        user_code: device.user_code.clone(),
        url: device.verification_uri.clone(),
        complete_url: device.verification_uri_complete.clone(),
    });
    let token = wait(attempt, &client, &device).await?;
    Ok((registration, token))
}

async fn wait(
    attempt: &Attempt<'_>,
    client: &sso_oidc::Registration,
    device: &DeviceAuthorization,
) -> Result<Token, Trouble> {
    let wire = attempt.sources.wire();
    let (interval, expires_in) = (Duration::from_secs(device.interval), Duration::from_secs(device.expires_in));
    let mut polling = Polling::new(wire.now().boot, interval, expires_in);
    let grant = Grant::DeviceCode { device_code: device.device_code.clone() };
    loop {
        wire.sleep(polling.next()?.saturating_sub(wire.now().boot)).await;
        let error = match sso_oidc::create_token(&attempt.aws, &attempt.region, client, &grant).await {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        let heard = match Refusal::of(&error) {
            Some(Refusal::AuthorizationPending) => Heard::Pending,
            Some(Refusal::SlowDown) => Heard::SlowDown,
            Some(Refusal::AccessDenied) => {
                let fault = Fault::new(Kind::Refused, "sso-oidc", "the sign-in was refused on the page");
                return Err(fault.cause(error).into());
            }
            Some(Refusal::ExpiredToken) => {
                return Err(Fault::new(Kind::Interrupted, "sso-oidc", "nobody approved the code before it ended")
                    .hint("run the same command again")
                    .into());
            }
            _ if error.kind() == Kind::Unreachable => Heard::Trouble,
            _ => return Err(attempt.explain(error)),
        };
        polling.heard(wire.now().boot, heard);
    }
}
