//! `cargo xtask package`: a Debian package of a built program, with manual, completions, units and bill of materials.
//!
//! Debian's own `dpkg-deb` puts it together; there is nothing to install. Manual and completions are those of
//! `deploy`, which tests hold against the program.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Outcome, place,
    process::{capture, command, step},
    sbom,
};

const USAGE: &str = "cargo xtask package [--program FILE] [--to DIRECTORY] [--uncompressed]";

/// Files of the repository, and where they go.
const FILES: [(&str, &str); 9] = [
    ("deploy/completions/bowline.bash", "usr/share/bash-completion/completions/bowline"),
    ("deploy/completions/bowline.fish", "usr/share/fish/vendor_completions.d/bowline.fish"),
    ("deploy/completions/_bowline", "usr/share/zsh/vendor-completions/_bowline"),
    ("README.md", "usr/share/doc/bowline/README.md"),
    ("CHANGELOG.md", "usr/share/doc/bowline/CHANGELOG.md"),
    ("SECURITY.md", "usr/share/doc/bowline/SECURITY.md"),
    ("LICENSE-MIT", "usr/share/doc/bowline/LICENSE-MIT"),
    ("deploy/debian/copyright", "usr/share/doc/bowline/copyright"),
    ("deploy/systemd/bowline.sysusers", "usr/lib/sysusers.d/bowline.conf"),
];

/// Where the pages of `deploy/man` go.
const MANUAL: &str = "usr/share/man/man1";

/// Units, which name the program where a person installs it by hand.
const UNITS: [(&str, &str); 2] = [
    ("deploy/systemd/bowline.service", "usr/lib/systemd/system/bowline.service"),
    ("deploy/systemd/bowline.user.service", "usr/lib/systemd/user/bowline.service"),
];

/// What dpkg runs: the service's user, and what runs already is restarted.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What is asked for behind `package`.
#[derive(Default)]
struct Wish<'a> {
    program: Option<&'a str>,
    to: Option<&'a str>,
    uncompressed: bool,
}

impl<'a> Wish<'a> {
    fn read(words: &[&'a str]) -> Result<Self, String> {
        let (mut wish, mut words) = (Self::default(), words.iter().copied());
        while let Some(word) = words.next() {
            match word {
                "--program" => wish.program = Some(words.next().ok_or(USAGE)?),
                "--to" => wish.to = Some(words.next().ok_or(USAGE)?),
                "--uncompressed" => wish.uncompressed = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(wish)
    }
}

/// Makes the package that `words` ask for: of the release build where they name no program.
pub(crate) fn run(words: &[&str]) -> Outcome {
    let wish = Wish::read(words)?;
    let program = match wish.program {
        Some(program) => PathBuf::from(program),
        None => {
            let build = ["build", "--release", "--locked", "-p", "bowline"];
            step("release build", &mut crate::process::cargo(&build))?;
            place::target().join("release/bowline")
        }
    };
    let to = wish.to.map_or_else(|| place::target().join("package"), PathBuf::from);
    let compression = if wish.uncompressed { "-Znone" } else { "-Zxz" };
    println!("{}", package(&program, &to, compression)?.display());
    Ok(())
}

fn package(program: &Path, to: &Path, compression: &str) -> Result<PathBuf, String> {
    let tree = to.join("tree");
    fs::remove_dir_all(&tree).ok();
    lay_out(program, &tree).map_err(|error| format!("`{}`: {error}", tree.display()))?;
    // Without names and times in them, the same pages give the same bytes.
    capture(command("sh", &["-c", "gzip -9n \"$1\"/*.1", "sh"]).arg(tree.join(MANUAL)))?;
    put(&tree.join("usr/share/doc/bowline/sbom.json"), sbom::document()?.as_bytes(), 0o644)
        .map_err(|error| error.to_string())?;
    let version = capture(&mut command(program, &["--version"]))?;
    let version = version.trim().trim_start_matches("bowline ").to_owned();
    let architecture = capture(&mut command("dpkg", &["--print-architecture"]))?.trim().to_owned();
    put(&tree.join("DEBIAN/control"), control(&tree, &version, &architecture)?.as_bytes(), 0o644)
        .map_err(|error| error.to_string())?;
    let file = to.join(format!("bowline_{version}_{architecture}.deb"));
    capture(command("dpkg-deb", &["--root-owner-group", compression, "--build"]).args([&tree, &file]))?;
    Ok(file)
}

fn lay_out(program: &Path, tree: &Path) -> io::Result<()> {
    put(&tree.join("usr/bin/bowline"), &fs::read(program)?, 0o755)?;
    for (from, path) in FILES {
        put(&tree.join(path), &fs::read(place::root().join(from))?, 0o644)?;
    }
    for page in fs::read_dir(place::root().join("deploy/man"))? {
        let page = page?;
        put(&tree.join(MANUAL).join(page.file_name()), &fs::read(page.path())?, 0o644)?;
    }
    for (from, path) in UNITS {
        let unit = fs::read_to_string(place::root().join(from))?.replace("/usr/local/bin/bowline", "/usr/bin/bowline");
        put(&tree.join(path), unit.as_bytes(), 0o644)?;
    }
    for script in SCRIPTS {
        put(&tree.join("DEBIAN").join(script), &fs::read(place::root().join("deploy/debian").join(script))?, 0o755)?;
    }
    Ok(())
}

/// `deploy/debian/control` with what only a build knows.
fn control(tree: &Path, version: &str, architecture: &str) -> Result<String, String> {
    let template = place::root().join("deploy/debian/control");
    let text = fs::read_to_string(&template).map_err(|error| format!("`{}`: {error}", template.display()))?;
    let size = capture(command("du", &["-sk", "--apparent-size"]).arg(tree))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let homepage = env!("CARGO_PKG_REPOSITORY");
    let filled = [("VERSION", version), ("ARCHITECTURE", architecture), ("SIZE", size), ("HOMEPAGE", homepage)];
    Ok(filled.iter().fold(text, |text, (name, value)| text.replace(&format!(": {name}\n"), &format!(": {value}\n"))))
}

fn put(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
