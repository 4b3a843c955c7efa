//! `bowline man`: the manual, made from what `--help` says.

use std::{fs, path::Path};

use bowline_base::{Fault, Kind, atomic};
use clap::CommandFactory as _;
use clap_mangen::Man as Page;

use crate::{
    cli::{Cli, Man},
    output,
};

/// Everybody may read a manual.
const PUBLIC: u32 = 0o644;
/// Of the lines of the reference, whatever terminal it is made on.
const WIDTH: usize = 100;
const REFERENCE_HEAD: &str = "\
# Every command

Made by `bowline man --markdown`; a test holds this page against the program. Exit codes: [exit-codes.md](exit-codes.md).
The keys of `bowline.toml`, which are called as the flags are: [keys.md](keys.md).
";

pub(crate) fn run(arguments: &Man) -> Result<(), Fault> {
    let mut program = Cli::command();
    program.build();
    if let Some(directory) = &arguments.directory {
        fs::create_dir_all(directory).map_err(|cause| cannot(directory, cause))?;
        return write_all(&program, directory);
    }
    if arguments.markdown {
        return output::data(&reference(&program));
    }
    let mut command = &program;
    for name in &arguments.commands {
        command = command.find_subcommand(name).ok_or_else(|| {
            Fault::new(Kind::Config, "man", format!("there is no command `{name}`")).hint("bowline --help lists them")
        })?;
    }
    output::data(&page(command))
}

/// Every command as a page of Markdown; `docs/reference/commands.md` is this.
fn reference(program: &clap::Command) -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    add(program, &mut text);
    text
}

fn add(command: &clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let help: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n")));
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    shown.for_each(|below| add(below, text));
}

fn write_all(command: &clap::Command, directory: &Path) -> Result<(), Fault> {
    let path = directory.join(format!("{}.1", file_name(command)));
    atomic::write(&path, page(command).as_bytes(), PUBLIC).map_err(|cause| cannot(&path, cause))?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| write_all(below, directory))
}

fn file_name(command: &clap::Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-")
}

fn page(command: &clap::Command) -> String {
    let mut text = Vec::new();
    let named = command.clone().name(file_name(command));
    Page::new(named).render(&mut text).expect("a Vec takes everything");
    with_values(&tidied(&String::from_utf8_lossy(&text), &file_name(command)), command)
}

/// The synopsis names what each option takes, which the generator leaves out.
fn with_values(page: &str, command: &clap::Command) -> String {
    let Some((before, rest)) = page.split_once("\n.SH SYNOPSIS\n") else { return page.to_owned() };
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let takes_something = command.get_arguments().filter(|argument| argument.get_action().takes_values());
    let line = takes_something.fold(line.to_owned(), |line, argument| {
        let Some(long) = argument.get_long() else { return line };
        let option = format!("\\fB\\-\\-{}\\fR", long.replace('-', "\\-"));
        let whole = format!("{option} \\fI{}\\fR", value_of(argument));
        line.replace(&format!("[{option}]"), &format!("[{whole}]")).replace(&format!("<{option}>"), &whole)
    });
    format!("{before}\n.SH SYNOPSIS\n{line}\n{after}")
}

fn value_of(argument: &clap::Arg) -> String {
    let names = argument.get_value_names().map(|names| names.join(" "));
    names.unwrap_or_else(|| argument.get_id().as_str().to_uppercase()).replace('-', "\\-")
}

/// What the generator writes, as the formatters want it: an empty date keeps its place in the title, an empty line is one
/// request, and what stands below the help has the names that readers of manuals look for.
fn tidied(page: &str, name: &str) -> String {
    let title = format!(".TH {name} 1 \"\" Bowline \"Bowline's manual\"");
    let lines: Vec<&str> =
        page.lines().map(|line| if line.starts_with(".TH ") { &title } else { line.trim_end() }).collect();
    let text = lines.join("\n") + "\n";
    under_their_names(&text.replace(".br\n\n.br\n", ".sp\n"))
}

/// Remarks and examples, which the help separates by a line of its own.
fn under_their_names(page: &str) -> String {
    let Some((above, below)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let is_head = |line: &&str| matches!(*line, "Example:" | "Examples:");
    let remarks: Vec<&str> = below.lines().take_while(|line| !is_head(line)).collect();
    let examples: Vec<&str> = below.lines().skip_while(|line| !is_head(line)).skip(1).collect();
    let section = |name: &str, lines: &[&str]| match lines.join("\n").trim_matches('\n') {
        "" => String::new(),
        text => format!(".SH {name}\n{text}\n"),
    };
    format!("{above}\n{}{}", section("NOTES", &remarks), section("EXAMPLES", &examples))
}

fn cannot(path: &Path, cause: std::io::Error) -> Fault {
    Fault::new(Kind::Config, "man", format!("cannot write `{}`", path.display())).cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synopsis_says_what_each_option_takes() {
        let mut program = Cli::command();
        program.build();
        let synopsis = |path: &[&str]| {
            let command = path.iter().fold(&program, |command, name| command.find_subcommand(name).unwrap());
            let text = page(command);
            text.split_once(".SH SYNOPSIS\n").unwrap().1.lines().next().unwrap().to_owned()
        };
        let init = synopsis(&["init"]);
        assert!(init.contains(r"[\fB\-\-from\fR \fIFILE\fR]") && init.contains(r"[\fB\-\-yes\fR]"), "{init}");
        let trust = synopsis(&["policy", "trust", "ec2"]);
        assert!(trust.contains(r" \fB\-\-account\fR \fIACCOUNT\fR"), "{trust}");
    }
}
