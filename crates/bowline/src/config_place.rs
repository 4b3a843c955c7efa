//! Which `bowline.toml` is meant.

use std::path::PathBuf;

use bowline_base::{Fault, Kind};

use crate::{
    config::{self, Config},
    environment::Environment,
};

/// The file that is used: `--config`, `BOWLINE_CONFIG`, or the first candidate that exists. `None` when there is none.
pub(crate) fn find(flag: Option<PathBuf>, environment: &Environment) -> Option<PathBuf> {
    let named = flag.or_else(|| environment.var("BOWLINE_CONFIG").map(PathBuf::from));
    named.or_else(|| environment.config_candidates().into_iter().find(|candidate| candidate.exists()))
}

/// The configuration, all defaults when there is no file.
pub(crate) fn load(flag: Option<PathBuf>, environment: &Environment) -> Result<Config, Fault> {
    load_if_any(flag, environment).map(Option::unwrap_or_default)
}

/// The configuration, where there is a file.
pub(crate) fn load_if_any(flag: Option<PathBuf>, environment: &Environment) -> Result<Option<Config>, Fault> {
    find(flag, environment).map(|path| config::load(&path)).transpose()
}

/// The file, for a command that makes no sense without one.
pub(crate) fn require(flag: Option<PathBuf>, environment: &Environment) -> Result<PathBuf, Fault> {
    find(flag, environment).ok_or_else(|| {
        let places: Vec<String> =
            environment.config_candidates().iter().map(|path| format!("`{}`", path.display())).collect();
        Fault::new(Kind::Config, "bowline.toml", format!("no configuration file: looked for {}", places.join(" and ")))
            .hint("write one (docs/reference/configuration.md), or name it with --config")
    })
}
