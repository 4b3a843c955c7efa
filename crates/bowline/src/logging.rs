//! Structured logs on stderr: for people on a terminal, JSON lines otherwise. Warnings are remembered as well.

use std::io::{self, IsTerminal as _};

use bowline_base::{Fault, Kind};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::troubles::Troubles;

/// Starts logging at `level` (`LOG_LEVEL`: error, warn or warning, info, debug, trace). What goes wrong from now on is
/// kept in what is given back.
pub(crate) fn start(level: Option<&str>) -> Result<Troubles, Fault> {
    let level: LevelFilter = level
        .map_or("info", |level| if level.eq_ignore_ascii_case("warning") { "warn" } else { level })
        .parse()
        .map_err(|_| {
            Fault::new(Kind::Config, "environment", format!("`{}` is not a log level", level.unwrap_or_default()))
                .hint("set LOG_LEVEL to error, warn, info, debug or trace")
        })?;
    let troubles = Troubles::default();
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false);
    let started = if io::stderr().is_terminal() {
        builder.with_ansi(false).compact().finish().with(troubles.clone()).try_init()
    } else {
        let lines = builder.json().flatten_event(true).with_current_span(false).finish();
        lines.with(troubles.clone()).try_init()
    };
    started.map(|()| troubles).map_err(|cause| Fault::new(Kind::Bug, "logging", "cannot start the log").cause(cause))
}
