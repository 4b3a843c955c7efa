//! Which program a process runs, from `/proc`; of use to people, and no proof of anything.

use std::{fs, path::Path};

/// A process that wants something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its id.
    pub pid: i32,
    /// The name of its program.
    pub name: String,
}

/// Who is behind process `pid`: that process, or where it is this same program, its parent, since a command line tool that
/// asks for somebody else is not who wants to know. `None` where there is no `/proc`, or no such process.
#[must_use]
pub fn behind(pid: i32) -> Option<Asker> {
    behind_in(Path::new("/proc"), pid)
}

/// The name of the program of process `pid`. `None` where there is no `/proc`, or no such process.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    name_of(Path::new("/proc"), pid)
}

/// Who started this process: as [`behind`] of its own id.
#[must_use]
pub fn behind_this() -> Option<Asker> {
    behind(own_id()?)
}

fn own_id() -> Option<i32> {
    i32::try_from(std::process::id()).ok()
}

/// More of us in a row would be a circle.
const MOST_OF_US: usize = 8;

fn behind_in(proc: &Path, pid: i32) -> Option<Asker> {
    let own = name_of(proc, own_id()?);
    let mut found = Asker { pid, name: name_of(proc, pid)? };
    for _ in 0..MOST_OF_US {
        let ours = Some(&found.name) == own.as_ref();
        let parent = parent_of(proc, found.pid).filter(|_| ours);
        let Some((pid, name)) = parent.and_then(|parent| Some((parent, name_of(proc, parent)?))) else { break };
        found = Asker { pid, name };
    }
    Some(found)
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
        process(proc.path(), 4_000_004, "bowline", 4_000_001);
        let parent = Some(Asker { pid: 4_000_002, name: "a) b".to_owned() });
        for pid in [4_000_001, 4_000_002, 4_000_004] {
            assert_eq!(behind_in(proc.path(), pid), parent, "{pid}");
        }
        assert_eq!(behind_in(proc.path(), 4_000_003), None);
    }

    #[test]
    fn the_real_proc_knows_this_test() {
        assert!(!cfg!(target_os = "linux") || behind(i32::try_from(std::process::id()).unwrap()).is_some());
    }
}
