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

pub(crate) fn run(arguments: &Man) -> Result<(), Fault> {
    let mut program = Cli::command();
    program.build();
    if let Some(directory) = &arguments.directory {
        fs::create_dir_all(directory).map_err(|cause| cannot(directory, cause))?;
        return write_all(&program, directory);
    }
    let mut command = &program;
    for name in &arguments.commands {
        command = command.find_subcommand(name).ok_or_else(|| {
            Fault::new(Kind::Config, "man", format!("there is no command `{name}`")).hint("bowline --help lists them")
        })?;
    }
    output::data(&page(command))
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
    String::from_utf8_lossy(&text).into_owned()
}

fn cannot(path: &Path, cause: std::io::Error) -> Fault {
    Fault::new(Kind::Config, "man", format!("cannot write `{}`", path.display())).cause(cause)
}
