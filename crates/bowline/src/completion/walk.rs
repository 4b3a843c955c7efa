//! Where on the command line somebody is typing. Pure: the command line's description and the words, no more.

use clap::{Arg, Command, ValueHint};

use super::names::Names;

/// What can stand there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of these words.
    Words(Vec<Offer>),
    /// A name that begins with `typed`; `prefix` stands before it in the same word.
    Names { kind: Names, prefix: String, typed: String },
    /// A file, or something that only the shell knows.
    Files,
}

/// A word, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    word: String,
    about: String,
}

impl Offer {
    pub(crate) fn plain(word: String) -> Self {
        Self { word, about: String::new() }
    }

    /// As the scripts read it.
    pub(crate) fn line(&self) -> String {
        let Self { word, about } = self;
        if about.is_empty() { format!("{word}\n") } else { format!("{word}\t{about}\n") }
    }
}

/// The place of the last of `words`, which stand behind the program's name.
pub(crate) fn place(program: &Command, words: &[String]) -> Place {
    let Some((typed, before)) = words.split_last() else { return Place::Words(Vec::new()) };
    let mut at = At { command: program, positionals: 0, value_of: None };
    for word in before {
        if word == "--" && at.value_of.is_none() {
            return Place::Files;
        }
        at = at.after(word);
    }
    at.offers(typed)
}

struct At<'a> {
    command: &'a Command,
    /// Arguments without a flag so far.
    positionals: usize,
    /// The flag whose value comes next.
    value_of: Option<&'a Arg>,
}

impl<'a> At<'a> {
    fn after(self, word: &str) -> Self {
        if self.value_of.is_some() {
            return Self { value_of: None, ..self };
        }
        if word.starts_with('-') && word.len() > 1 {
            let value_of = self.flag(word).filter(|flag| flag.get_action().takes_values() && !word.contains('='));
            return Self { value_of, ..self };
        }
        match self.command.find_subcommand(word) {
            Some(command) if self.positionals == 0 => Self { command, positionals: 0, value_of: None },
            _ => Self { positionals: self.positionals + 1, ..self },
        }
    }

    fn flag(&self, word: &str) -> Option<&'a Arg> {
        let name = word.split('=').next().unwrap_or(word);
        self.command.get_arguments().find(|flag| match name.strip_prefix("--") {
            Some(long) => flag.get_long_and_visible_aliases().is_some_and(|known| known.contains(&long)),
            None => flag.get_short().is_some_and(|short| name.ends_with(short)),
        })
    }

    fn offers(&self, typed: &str) -> Place {
        if let Some(flag) = self.value_of {
            return self.values(flag, "", typed);
        }
        if let Some((name, value)) = typed.split_once('=').filter(|_| typed.starts_with("--")) {
            let values = |flag| self.values(flag, &format!("{name}="), value);
            return self.flag(name).map_or(Place::Words(Vec::new()), values);
        }
        if typed.starts_with('-') {
            return Place::Words(self.flags(typed));
        }
        let mut commands = self.commands(typed);
        let positional = self.positional().map(|positional| self.values(positional, "", typed));
        match positional {
            None => Place::Words(commands),
            Some(Place::Words(words)) => {
                commands.extend(words);
                Place::Words(commands)
            }
            Some(place) => place,
        }
    }

    fn commands(&self, typed: &str) -> Vec<Offer> {
        if self.positionals > 0 {
            return Vec::new();
        }
        let commands = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let fitting = commands.filter(|command| command.get_name().starts_with(typed));
        fitting.map(|command| offer(command.get_name(), command.get_about())).collect()
    }

    fn flags(&self, typed: &str) -> Vec<Offer> {
        let shown = self.command.get_arguments().filter(|flag| !flag.is_hide_set());
        let named = shown.filter_map(|flag| Some((format!("--{}", flag.get_long()?), flag.get_help())));
        named.filter(|(name, _)| name.starts_with(typed)).map(|(name, help)| offer(&name, help)).collect()
    }

    /// The argument without a flag that is typed: the last one may stand more than once.
    fn positional(&self) -> Option<&'a Arg> {
        let all: Vec<&Arg> = self.command.get_positionals().filter(|argument| !argument.is_last_set()).collect();
        let many = |argument: &&&Arg| argument.get_num_args().is_some_and(|many| many.max_values() > 1);
        all.get(self.positionals).or_else(|| all.last().filter(many)).copied()
    }

    fn values(&self, argument: &Arg, prefix: &str, typed: &str) -> Place {
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let shown = possible.iter().filter(|value| !value.is_hide_set() && value.get_name().starts_with(typed));
            return Place::Words(
                shown.map(|value| offer(&format!("{prefix}{}", value.get_name()), value.get_help())).collect(),
            );
        }
        if let Some(kind) = self.names_of(argument) {
            return Place::Names { kind, prefix: prefix.to_owned(), typed: typed.to_owned() };
        }
        match argument.get_value_hint() {
            ValueHint::Unknown | ValueHint::Other => Place::Words(Vec::new()),
            _ => Place::Files,
        }
    }

    fn names_of(&self, argument: &Arg) -> Option<Names> {
        match (argument.get_id().as_str(), self.command.get_name()) {
            ("session", _) | ("profile", "login" | "logout") => Some(Names::SignIns),
            ("profile" | "profiles", _) => Some(Names::Profiles),
            _ => None,
        }
    }
}

fn offer(word: &str, about: Option<&clap::builder::StyledStr>) -> Offer {
    let text = about.map(ToString::to_string).unwrap_or_default();
    Offer { word: word.to_owned(), about: text.lines().next().unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn at(line: &str) -> Place {
        let mut program = Cli::command();
        program.build();
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        place(&program, &words)
    }

    fn words(line: &str) -> Vec<String> {
        match at(line) {
            Place::Words(offers) => offers.into_iter().map(|offer| offer.word).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn names(kind: Names, prefix: &str, typed: &str) -> Place {
        Place::Names { kind, prefix: prefix.to_owned(), typed: typed.to_owned() }
    }

    #[test]
    fn commands_and_their_commands_are_offered() {
        assert!(words("").contains(&"exec".to_owned()));
        assert_eq!(words("ve"), ["verify"]);
        assert_eq!(words("--config x.toml ve"), ["verify"]);
        assert_eq!(words("policy trust e"), ["ec2", "ecs"]);
        assert_eq!(words("profiles "), ["sync"]);
        assert_eq!(words("nonsense x"), [""; 0]);
    }

    #[test]
    fn flags_and_their_values_are_offered() {
        assert_eq!(words("env --sh"), ["--shell"]);
        assert_eq!(words("env --shell f"), ["fish"]);
        assert_eq!(words("env --shell=f"), ["--shell=fish"]);
        assert_eq!(words("status --output "), ["text", "json"]);
        assert_eq!(words("completions z"), ["zsh"]);
        assert_eq!(at("write build --file "), Place::Files);
        assert_eq!(at("--config "), Place::Files);
        assert!(words("write build --file x --w").contains(&"--watch".to_owned()));
    }

    #[test]
    fn profiles_are_offered_wherever_one_is_named() {
        for command in ["creds", "env", "exec", "write", "verify", "console", "status"] {
            assert_eq!(at(&format!("{command} b")), names(Names::Profiles, "", "b"), "{command}");
        }
        assert_eq!(at("serve build s"), names(Names::Profiles, "", "s"), "one after the other");
        assert_eq!(at("env --shell fish b"), names(Names::Profiles, "", "b"));
        assert_eq!(at("artifacts serve --profile=b"), names(Names::Profiles, "--profile=", "b"));
        assert_eq!(at("login c"), names(Names::SignIns, "", "c"));
        assert_eq!(at("profiles sync --session "), names(Names::SignIns, "", ""));
        assert_eq!(words("creds build "), [""; 0], "there is one");
        assert_eq!(at("exec build -- l"), Place::Files, "the child's own words");
    }
}
