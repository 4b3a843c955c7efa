//! `bowline login` and `logout`: shows the person what to do; the flows themselves are in `credentials`.

use std::process::{Command, Stdio};

use bowline_audit::{Event, Record};
use bowline_awsfiles::{Config, Profile, SsoKey, SsoLogin, SsoSession};
use bowline_base::{Fault, Kind, utc};
use bowline_credentials::login::{How, LoginEvent, SignedIn, login, logout};

use super::{obtain::with_sources, recording};
use crate::{cli, output, world::World};

/// What the predecessor called its only session.
const LAST_RESORT: &str = "bazel-cache";

pub(crate) fn run(world: &World, arguments: &cli::Login) -> Result<(), Fault> {
    let name = which(world, &world.aws_config()?, arguments.profile.as_deref())?;
    let how = if arguments.device || !has_display(world) && !arguments.no_browser { How::Device } else { How::Browser };
    with_sources(world, async |sources, tasks| {
        let mut tell = |event| show(world, &event, arguments.no_browser);
        let signed_in = login(sources, tasks, &name, how, &mut tell).await?;
        let record = Record { expires: Some(signed_in.token_until), ..Record::about(Event::Login, &signed_in.session) };
        recording::note(world, record);
        output::say(&told(&signed_in));
        Ok(())
    })
}

pub(crate) fn out(world: &World, profile: Option<&str>) -> Result<(), Fault> {
    let name = which(world, &world.aws_config()?, profile)?;
    with_sources(world, async |sources, _tasks| {
        let signed_out = logout(sources, &name).await?;
        recording::note(world, Record::about(Event::Logout, &signed_out.session));
        let what = if signed_out.had_token { "Signed out of" } else { "Nobody was signed in to" };
        output::say(&format!("{what} {}.", signed_out.session));
        if let Some(fault) = &signed_out.portal {
            output::fault(fault);
        }
        Ok(())
    })
}

/// The sign-in that is meant: as named, else the environment's, else the only session there is, else the predecessor's.
pub(super) fn which(world: &World, config: &Config, named: Option<&str>) -> Result<String, Fault> {
    let sessions: Vec<&str> = config.sso_sessions().map(SsoSession::name).collect();
    let only = || if let [only] = sessions.as_slice() { Some((*only).to_owned()) } else { None };
    let is_there = || sessions.contains(&LAST_RESORT) || config.profile(LAST_RESORT).is_ok();
    let former = || is_there().then(|| LAST_RESORT.to_owned());
    let found = named.map(ToOwned::to_owned).or_else(|| world.named_profile()).or_else(only).or_else(former);
    found.ok_or_else(|| nobody_named(&sessions, config))
}

/// A profile of the older form has its sign-in in itself, and is called by its own name.
fn nobody_named(sessions: &[&str], config: &Config) -> Fault {
    let signs_in = |name: &&str| matches!(config.login(name), Ok(Some(SsoLogin { key: SsoKey::Legacy(_), .. })));
    let older = config.profiles().map(Profile::name).filter(signs_in);
    let choices: Vec<&str> = sessions.iter().copied().chain(older).collect();
    let Some(first) = choices.first() else {
        return Fault::new(Kind::Config, "login", "no profile was named, and there is none to choose from")
            .hint("`aws configure sso` writes one; then `bowline login NAME`");
    };
    let many = if choices.len() > 1 { "there are several sign-ins" } else { "the only sign-in is a profile's own" };
    let message = format!("no profile was named, and {many}: {}", choices.join(", "));
    Fault::new(Kind::Config, "login", message).hint(format!("bowline login {first}"))
}

/// What a command says that needs a sign-in and was given a profile without one.
pub(super) fn no_session(world: &World, name: &str) -> Fault {
    let message = format!("profile `{name}` does not sign in through IAM Identity Center");
    Fault::new(Kind::Config, format!("profile `{name}`"), message).hint(format!(
        "give it an `sso_session` in `{}`, or name another profile",
        world.setup.locations.config.display()
    ))
}

fn told(signed_in: &SignedIn) -> String {
    let SignedIn { session, token_until, renewable } = signed_in;
    let what_then = if *renewable {
        "it is renewed by itself while the session lasts"
    } else {
        "it cannot be renewed: give the profile an `sso_session` for that"
    };
    format!("Signed in to {session} until {}; {what_then}.", utc(*token_until))
}

pub(super) fn has_display(world: &World) -> bool {
    let set = |name| world.environment.var(name).is_some();
    set("BROWSER")
        || (!set("SSH_CONNECTION") && (set("DISPLAY") || set("WAYLAND_DISPLAY") || cfg!(target_vendor = "apple")))
}

fn show(world: &World, event: &LoginEvent, no_browser: bool) {
    match event {
        LoginEvent::Open { url } if !no_browser && open(world, url) => {
            output::say(&format!(
                "A browser opens for the sign-in. If it does not, open this page on this machine:\n\n  {url}\n"
            ));
        }
        LoginEvent::Open { url } => output::say(&format!("Open this page in a browser on this machine:\n\n  {url}\n")),
        LoginEvent::Device { user_code, url, complete_url } => output::say(&format!(
            "On any device, open\n\n  {url}\n\nand type the code\n\n  {user_code}\n\nOr open {complete_url} and compare the code. Sign in only if you started this yourself."
        )),
    }
}

/// Shows `url` in a browser; whether there was one to start. The process list shows `url` to everybody.
pub(super) fn open(world: &World, url: &str) -> bool {
    let standard = if cfg!(target_vendor = "apple") { "open" } else { "xdg-open" };
    let program = world.environment.var("BROWSER").and_then(|list| list.split(':').next()).unwrap_or(standard);
    let mut browser = Command::new(program);
    browser.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    browser.spawn().is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bowline_awsfiles::Document;

    use super::*;
    use crate::environment::Environment;

    #[test]
    fn who_names_nobody_is_told_what_there_is() {
        let world = World::new(Environment::of([("HOME".to_owned(), "/h".to_owned())].into())).unwrap();
        let which = |text: &str| {
            let document = Document::parse(Path::new("config"), text.as_bytes()).unwrap();
            which(&world, &Config::read(Some(&document), None).unwrap(), None).map_err(|fault| fault.message)
        };
        let session = |name: &str| format!("[sso-session {name}]\nsso_start_url = https://x\nsso_region = us-east-1\n");
        assert_eq!(which(&session("corp")).unwrap(), "corp");
        assert_eq!(which("[profile bazel-cache]\nregion = x\n").unwrap(), "bazel-cache");
        assert_eq!(which(&(session("a") + &session("bazel-cache"))).unwrap(), "bazel-cache");
        let profile = "[profile bazel-cache]\nsso_session = b\n";
        assert_eq!(which(&(session("a") + &session("b") + profile)).unwrap(), "bazel-cache");
        assert!(which("").unwrap_err().ends_with("none to choose from"));
        assert!(which(&(session("a") + &session("b"))).unwrap_err().ends_with("several sign-ins: a, b"));
        let older = "[profile old]\nsso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 111122223333\nsso_role_name = r\n";
        assert!(which(older).unwrap_err().ends_with("a profile's own: old"));
    }
}
