//! Which program a process runs, from `/proc`; of use to people, and no proof of anything.

use std::{fs, path::Path};

/// The name of the program of process `pid`; of its parent where the process is this same program, since a command line
/// tool that asks for somebody else is not who wants to know. `None` where there is no `/proc`, or no such process.
#[must_use]
pub fn behind(pid: i32) -> Option<String> {
    behind_in(Path::new("/proc"), pid)
}

/// The name of the program of process `pid`. `None` where there is no `/proc`, or no such process.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    name_of(Path::new("/proc"), pid)
}

fn behind_in(proc: &Path, pid: i32) -> Option<String> {
    let name = name_of(proc, pid)?;
    let ours = Some(&name) == name_of(proc, i32::try_from(std::process::id()).ok()?).as_ref();
    if !ours {
        return Some(name);
    }
    parent_of(proc, pid).and_then(|parent| name_of(proc, parent)).or(Some(name))
}

/// The file that it runs where we may see it, else the name that the kernel keeps (15 bytes).
fn name_of(proc: &Path, pid: i32) -> Option<String> {
    let short = fs::read_to_string(proc.join(format!("{pid}/comm"))).ok()?.trim().to_owned();
    let whole = fs::read_link(proc.join(format!("{pid}/exe"))).ok();
    let whole =
        whole.as_ref().and_then(|path| path.file_name()?.to_str()).map(|name| name.trim_end_matches(" (deleted)"));
    Some(whole.filter(|name| name.starts_with(&short)).map_or(short, str::to_owned))
}

/// Behind the last `)`: a program's name may hold anything.
fn parent_of(proc: &Path, pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, name: &str, parent: u32) {
        fs::create_dir(proc.join(pid.to_string())).unwrap();
        let write = |file: &str, text: String| {
            bowline_base::atomic::write(&proc.join(format!("{pid}/{file}")), text.as_bytes(), 0o644).unwrap();
        };
        write("comm", format!("{name}\n"));
        write("stat", format!("{pid} ({name}) S {parent} 1 1"));
    }

    #[test]
    fn whoever_asks_through_our_own_program_is_the_parent() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), std::process::id(), "bowline", 1);
        process(proc.path(), 4_000_001, "bowline", 4_000_002);
        process(proc.path(), 4_000_002, "a) b", 1);
        assert_eq!(behind_in(proc.path(), 4_000_001).as_deref(), Some("a) b"));
        assert_eq!(behind_in(proc.path(), 4_000_002).as_deref(), Some("a) b"));
        assert_eq!(behind_in(proc.path(), 4_000_003), None);
    }

    #[test]
    fn the_real_proc_knows_this_test() {
        assert!(!cfg!(target_os = "linux") || behind(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
