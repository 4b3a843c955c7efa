//! Where the chain goes on: the last whole line of the newest file, found from its end. What a killed process left behind
//! it is moved to a file of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, atomic};
use serde_json::Value;

use super::file::unwritable;
use crate::{
    chain::{Head, KIND, Parsed, VERSION},
    key::PublicKey,
    lines,
};

/// The end of the newest file.
pub(super) struct End {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) head: Head,
    pub(super) key: PublicKey,
}

/// The end of the newest of `files` that has a good line, and what was moved aside behind it, in words. Call it with the
/// lock held.
pub(super) fn recover(mut files: Vec<PathBuf>) -> Result<(Option<End>, Vec<String>), Fault> {
    let mut torn = Vec::new();
    while let Some(path) = files.pop() {
        let failed = |cause| unwritable(&path, cause);
        let mut file = OpenOptions::new().read(true).append(true).open(&path).map_err(failed)?;
        let whole = file.metadata().map_err(failed)?.len();
        let first = first_line(&file).map_err(failed)?;
        let Some((line, length)) = last_good(&mut file, whole).map_err(failed)? else {
            if let Some(newer) = newer_version(&first) {
                return Err(newer_log(&path, newer));
            }
            let aside = aside(&path);
            fs::rename(&path, &aside).map_err(failed)?;
            torn.push(words(whole, "the beginning", &path, &aside));
            continue;
        };
        let Some((log, key)) = Parsed::read(&first).filter(Parsed::begins_a_file).as_ref().and_then(names) else {
            return Err(newer_log(&path, newer_version(&first).unwrap_or(0)));
        };
        if length < whole {
            let aside = aside(&path);
            move_aside(&mut file, length, &aside).map_err(failed)?;
            torn.push(words(whole - length, &format!("line {} of the log", line.seq), &path, &aside));
        }
        let head = Head { seq: line.seq + 1, hash: line.hash, log };
        return Ok((Some(End { path, file, length, head, key }), torn));
    }
    Ok((None, torn))
}

fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    lines::next(&mut BufReader::new(file), &mut line)?;
    Ok(line)
}

/// The last line that is whole and as its hash says, and where it ends. Reads no more of the end than it must.
fn last_good(file: &mut File, whole: u64) -> io::Result<Option<(Parsed, u64)>> {
    let mut size = 16 * 1024;
    loop {
        let start = whole.saturating_sub(size);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(whole - start).read_to_end(&mut bytes)?;
        if let Some((line, end)) = last_good_in(&bytes) {
            return Ok(Some((line, start + end as u64)));
        }
        if start == 0 {
            return Ok(None);
        }
        size *= 8;
    }
}

fn last_good_in(bytes: &[u8]) -> Option<(Parsed, usize)> {
    let mut end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    loop {
        let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        if let Some(line) = Parsed::read(&bytes[start..end]) {
            return Some((line, end + 1));
        }
        end = start.checked_sub(1)?;
    }
}

fn names(first: &Parsed) -> Option<(String, PublicKey)> {
    Some((first.text("log")?.to_owned(), PublicKey::parse(first.text("key")?)?))
}

/// The version of a file of ours that this program does not know.
fn newer_version(first: &[u8]) -> Option<u64> {
    let first: Value = serde_json::from_slice(first).ok()?;
    first["version"].as_u64().filter(|version| first["kind"] == KIND && *version != VERSION)
}

fn newer_log(path: &Path, version: u64) -> Fault {
    let shown = path.display();
    let message = if version == 0 {
        format!("`{shown}` does not begin as an audit log does")
    } else {
        format!("`{shown}` is an audit log of version {version}, and this program knows {VERSION}")
    };
    Fault::new(Kind::Config, "audit", message).hint(format!("use the newer program, or move `{shown}` away"))
}

/// A name that nothing has yet.
fn aside(path: &Path) -> PathBuf {
    let name = |number: u32| PathBuf::from(format!("{}.torn-{number}", path.display()));
    (1..).map(name).find(|candidate| !candidate.exists()).expect("numbers do not end")
}

fn move_aside(file: &mut File, from: u64, aside: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    let mut copy = OpenOptions::new().create_new(true).write(true).mode(atomic::PRIVATE).open(aside)?;
    io::copy(file, &mut copy)?;
    copy.flush()?;
    copy.sync_all()?;
    file.set_len(from)
}

fn words(bytes: u64, behind: &str, path: &Path, aside: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{bytes} bytes behind {behind} in `{}` were no whole line; they are in `{}`", name(path), name(aside))
}
