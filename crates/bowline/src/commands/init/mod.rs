//! `bowline init`: asks little, proposes from what it finds, and writes a commented `bowline.toml`. It changes nothing
//! else and starts nothing.

mod flow;
mod found;
mod notes;
mod proposal;
mod roles;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic};

use self::{
    found::{Found, Surroundings},
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
    notes::of_all(&found).iter().for_each(|note| output::say(&format!("note: {note}")));
    let proposed = parts(&found);
    if proposed.is_empty() && !arguments.yes && !arguments.print {
        return Err(Fault::new(Kind::Config, "init", "there is nothing to start from, and nothing was written")
            .hint("`aws configure sso` makes a profile; `--from FILE` names a predecessor's .env; `--yes` writes an empty file"));
    }
    let chosen = if arguments.yes || arguments.print { proposed } else { ask(proposed)? };
    let text = file(&chosen);
    if let Err(mistakes) = config::parse(&text) {
        let why = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(Fault::new(Kind::Config, "init", format!("what was found cannot be used: {why}"))
            .hint("mend the file that --from names, or leave it out"));
    }
    if arguments.print {
        return output::data(&text);
    }
    if let Some(kept) = write(&path, &text)? {
        output::say(&format!("kept what was there as {}", kept.display()));
    }
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
        let read = found::read(&text(path)?, &surroundings(path));
        notes::of_file(&path.display().to_string(), &read)
            .iter()
            .for_each(|note| output::say(&format!("note: {note}")));
        found.files.extend(read.services);
    }
    Ok(found)
}

fn text(path: &Path) -> Result<String, Fault> {
    let cannot = |why: String| {
        Fault::new(Kind::Config, "init", format!("cannot read `{}`: {why}", path.display()))
            .hint("--from names an .env or a compose file of the program that Bowline replaces")
    };
    let size = fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if size > LARGEST {
        return Err(cannot(format!("{size} bytes are too many for such a file")));
    }
    fs::read_to_string(path).map_err(|error| cannot(error.to_string()))
}

/// The `.env` beside it, which compose reads for itself.
fn surroundings(path: &Path) -> Surroundings {
    text(&path.with_file_name(".env")).map(|text| found::surroundings(&text)).unwrap_or_default()
}

/// One question a part, until it is answered.
fn ask(parts: Vec<Part>) -> Result<Vec<Part>, Fault> {
    let mut chosen = Vec::new();
    for part in parts {
        let mut question = format!("{} [Y/n] ", part.question);
        let wanted = loop {
            let Some(answer) = terminal::ask_line(&question)? else {
                return Err(Fault::new(Kind::Config, "init", "there is no terminal to ask on")
                    .hint("bowline init --yes takes what is proposed; bowline init --print only shows it"));
            };
            if let Some(wanted) = is_yes(answer.expose()) {
                break wanted;
            }
            question = "Yes or no? [Y/n] ".to_owned();
        };
        if wanted {
            chosen.push(part);
        }
    }
    Ok(chosen)
}

/// Nothing is yes; `None` is neither.
fn is_yes(answer: &str) -> Option<bool> {
    match answer.trim().to_lowercase().as_str() {
        "" | "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

/// Where it goes: as it is said, else this user's own place.
fn place(world: &World, flag: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let named = flag.or_else(|| world.environment.var("BOWLINE_CONFIG").map(PathBuf::from));
    let usual = || world.environment.config_candidates().into_iter().next();
    named
        .or_else(usual)
        .ok_or_else(|| Fault::new(Kind::Config, "init", "no place for bowline.toml").hint("name one with --config"))
}

/// What was there stays beside it; answers with where.
fn write(path: &Path, text: &str) -> Result<Option<PathBuf>, Fault> {
    let cannot = |cause| {
        let message = format!("cannot write `{}`", path.display());
        Fault::new(Kind::Refused, "init", message).cause(cause).hint("--config FILE names another place")
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    let old = fs::read(path).ok().filter(|old| old != text.as_bytes());
    // Whoever kept others from reading the old one means that of both.
    let mode = fs::metadata(path).map_or(PUBLIC, |old| old.permissions().mode() & PUBLIC);
    let kept = old.map(|old| keep(path, &old, mode)).transpose().map_err(cannot)?;
    atomic::write(path, text.as_bytes(), mode).map_err(cannot)?;
    Ok(kept)
}

/// The first may be what somebody wrote by hand: none is ever replaced by the next.
fn keep(path: &Path, old: &[u8], mode: u32) -> io::Result<PathBuf> {
    let place = |number: usize| match number {
        0 => path.with_extension("toml.bak"),
        _ => path.with_extension(format!("toml.bak.{number}")),
    };
    let is_usable = |place: &PathBuf| fs::read(place).map_or(!place.exists(), |there| there == old);
    let free = (0..MOST_KEPT).map(place).find(is_usable);
    let free = free.ok_or_else(|| io::Error::other(format!("there are {MOST_KEPT} old ones beside it")))?;
    atomic::write(&free, old, mode)?;
    Ok(free)
}

/// Old files beside the new one.
const MOST_KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_commands_name_the_file_only_where_it_is_not_found_by_itself() {
        assert!(next(Path::new("/x/b.toml"), false).contains("bowline run --config /x/b.toml\n"));
        assert!(next(Path::new("/x/b.toml"), true).contains("bowline run\n"));
    }

    #[test]
    fn only_yes_and_nothing_are_yes() {
        for (answer, wanted) in [
            ("\n", Some(true)),
            ("Y\n", Some(true)),
            ("yes\n", Some(true)),
            ("No\n", Some(false)),
            ("maybe\n", None),
            ("yn\n", None),
        ] {
            assert_eq!(is_yes(answer), wanted, "{answer:?}");
        }
    }

    #[test]
    fn no_old_file_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bowline.toml");
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        atomic::write(&path, b"by hand", PUBLIC).unwrap();
        assert_eq!(write(&path, "first").unwrap(), Some(directory.path().join("bowline.toml.bak")));
        assert_eq!(write(&path, "first").unwrap(), None, "nothing changed");
        assert_eq!(write(&path, "second").unwrap(), Some(directory.path().join("bowline.toml.bak.1")));
        assert_eq!(
            (read("bowline.toml.bak"), read("bowline.toml.bak.1"), read("bowline.toml")),
            ("by hand".into(), "first".into(), "second".into())
        );
    }
}
