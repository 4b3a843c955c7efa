//! `bowline init`: asks little, proposes from what it finds, and writes a commented `bowline.toml`. It changes nothing
//! else and starts nothing.

mod found;
mod proposal;

use std::{
    fs,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic};

use self::{
    found::Found,
    proposal::{Part, file, parts},
};
use crate::{cli::Init, config, output, terminal, world::World};

/// Nothing in it is a secret.
const PUBLIC: u32 = 0o644;
/// Bytes of a predecessor's file that are read.
const LARGEST: u64 = 1 << 20;

pub(crate) fn run(world: &World, file_flag: Option<PathBuf>, arguments: &Init) -> Result<(), Fault> {
    let path = place(world, file_flag)?;
    if !arguments.print && !arguments.force && path.exists() {
        let why = format!("`{}` is there already", path.display());
        return Err(Fault::new(Kind::Refused, "init", why)
            .hint("bowline init --print shows what would be written; --force keeps the old one as bowline.toml.bak"));
    }
    let found = look(world, &arguments.from)?;
    for (name, value) in proposal::no_ports(&found) {
        output::say(&format!("note: {name}={value} is no port; the usual one is proposed"));
    }
    let chosen = if arguments.yes || arguments.print { parts(&found) } else { ask(parts(&found))? };
    let text = file(&chosen);
    if let Err(mistakes) = config::parse(&text) {
        let why = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(Fault::new(Kind::Config, "init", format!("what was found cannot be used: {why}"))
            .hint("mend the file that --from names, or leave it out"));
    }
    if arguments.print {
        return output::data(&text);
    }
    write(&path, &text)?;
    if chosen.is_empty() {
        output::say(&format!(
            "wrote {}, with nothing in it yet\nnext:\n  aws configure sso\n  bowline init --force",
            path.display()
        ));
        return Ok(());
    }
    output::say(&next(&path, world.environment.config_candidates().contains(&path)));
    Ok(())
}

/// What to type now; a file that is found anyway is not named.
fn next(path: &Path, found: bool) -> String {
    let flag = if found { String::new() } else { format!(" --config {}", path.display()) };
    format!("wrote {}\nnext:\n  bowline check{flag}\n  bowline run{flag}\n  bowline status --watch", path.display())
}

fn look(world: &World, files: &[PathBuf]) -> Result<Found, Fault> {
    let config = world.aws_config()?;
    let mut found = Found::default();
    for profile in config.profiles() {
        let signs_in = profile.text("sso_session").is_some() || profile.text("sso_start_url").is_some();
        let list = if signs_in { &mut found.sso_profiles } else { &mut found.other_profiles };
        list.push(profile.name().to_owned());
    }
    for path in files {
        found.files.extend(read(path)?);
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<found::Variables>, Fault> {
    let cannot = |why: String| {
        Fault::new(Kind::Config, "init", format!("cannot read `{}`: {why}", path.display()))
            .hint("--from names an .env or a compose file of the program that Bowline replaces")
    };
    let size = fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if size > LARGEST {
        return Err(cannot(format!("{size} bytes are too many for such a file")));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    let services = found::services(&text);
    if services.is_empty() {
        output::say(&format!("note: `{}` says nothing that Bowline knows", path.display()));
    }
    Ok(services)
}

/// One question a part; an empty answer is yes.
fn ask(parts: Vec<Part>) -> Result<Vec<Part>, Fault> {
    let mut chosen = Vec::new();
    for part in parts {
        let Some(answer) = terminal::ask_line(&format!("{} [Y/n] ", part.question))? else {
            return Err(Fault::new(Kind::Config, "init", "there is no terminal to ask on")
                .hint("bowline init --yes takes what is proposed; bowline init --print only shows it"));
        };
        if !answer.expose().trim().to_lowercase().starts_with('n') {
            chosen.push(part);
        }
    }
    Ok(chosen)
}

/// Where it goes: as it is said, else this user's own place.
fn place(world: &World, flag: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let named = flag.or_else(|| world.environment.var("BOWLINE_CONFIG").map(PathBuf::from));
    let usual = || world.environment.config_candidates().into_iter().next();
    named
        .or_else(usual)
        .ok_or_else(|| Fault::new(Kind::Config, "init", "no place for bowline.toml").hint("name one with --config"))
}

/// What was there stays beside it.
fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let cannot = |cause| {
        let message = format!("cannot write `{}`", path.display());
        Fault::new(Kind::Refused, "init", message).cause(cause).hint("--config FILE names another place")
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    if let Ok(old) = fs::read(path) {
        atomic::write(&path.with_extension("toml.bak"), &old, PUBLIC).map_err(cannot)?;
    }
    atomic::write(path, text.as_bytes(), PUBLIC).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_commands_name_the_file_only_where_it_is_not_found_by_itself() {
        assert!(next(Path::new("/x/b.toml"), false).contains("bowline run --config /x/b.toml\n"));
        assert!(next(Path::new("/x/b.toml"), true).contains("bowline run\n"));
    }
}
