//! `bowline status --watch`: asks every second, draws, and listens to the keyboard, until `q`.

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use bowline_base::{Fault, Kind};
use bowline_host::clock;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    screen::{self, Paint, View},
    snapshot::Snapshot,
};
use crate::{
    daemon::{Signalled, Signals},
    world::{World, small_runtime},
};

/// Between two questions, and between two looks at the keyboard.
const EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(200);

/// Shows what `look` finds until somebody ends it.
pub(super) fn run(world: &World, look: impl Fn() -> Result<Value, Fault> + Sync) -> Result<ExitCode, Fault> {
    let dumb = world.environment.var("TERM").is_none_or(|term| term == "dumb");
    if dumb || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Fault::new(Kind::Config, "status", "--watch needs a terminal")
            .hint("bowline status --output json says the same once, for programs"));
    }
    let paint = if world.environment.var("NO_COLOR").is_some() { Paint::Plain } else { Paint::Colours };
    let (runtime, first) = (small_runtime()?, look()?);
    let signals = runtime.block_on(async { Signals::listen() })?;
    let (news, heard) = mpsc::channel();
    // Dropped at the end, which ends whoever asks.
    let (ending, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        let look = &look;
        scope.spawn(move || ask(look, &news, &ended));
        let watch = Watch { shown: Snapshot::of(&first), trouble: None, scroll: 0, furthest: 0, paint };
        let outcome = on_screen(|terminal| watch.attend(terminal, &heard, &runtime, signals));
        drop(ending);
        outcome
    })
    .map(|()| ExitCode::SUCCESS)
    .map_err(|cause| Fault::new(Kind::Refused, "status", "cannot draw on this terminal").cause(cause))
}

/// On a thread of its own: a daemon that hangs must not keep the keyboard waiting.
fn ask(look: &impl Fn() -> Result<Value, Fault>, news: &Sender<Result<Value, Fault>>, ended: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
        if news.send(look()).is_err() {
            return;
        }
    }
}

/// The terminal is as it was before, however `work` ends.
fn on_screen(work: impl FnOnce(&mut DefaultTerminal) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let outcome = work(&mut terminal);
    ratatui::try_restore()?;
    outcome
}

struct Watch {
    shown: Snapshot,
    /// Why nothing newer is shown.
    trouble: Option<String>,
    scroll: u16,
    furthest: u16,
    paint: Paint,
}

impl Watch {
    fn attend(
        mut self,
        terminal: &mut DefaultTerminal,
        heard: &Receiver<Result<Value, Fault>>,
        runtime: &Runtime,
        mut signals: Signals,
    ) -> std::io::Result<()> {
        loop {
            heard.try_iter().for_each(|news| self.take(news));
            terminal.draw(|frame| {
                let (snapshot, trouble) = (&self.shown, self.trouble.as_deref());
                let view = View { snapshot, now: clock::now().wall, scroll: self.scroll, paint: self.paint, trouble };
                self.furthest = screen::draw(frame, &view);
            })?;
            if event::poll(TICK)?
                && let Event::Key(key) = event::read()?
                && self.is_the_end(key)
            {
                return Ok(());
            }
            let signalled =
                runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), signals.next()).await });
            if matches!(signalled, Ok(Signalled::End | Signalled::Reload)) {
                return Ok(());
            }
        }
    }

    fn take(&mut self, news: Result<Value, Fault>) {
        match news {
            Ok(document) => (self.shown, self.trouble) = (Snapshot::of(&document), None),
            Err(fault) => self.trouble = Some(fault.chain()),
        }
    }

    /// What a key does; `true` when it ends the show.
    fn is_the_end(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        // From where it really is: a scroll past the end is none.
        let from = self.scroll.min(self.furthest);
        self.scroll = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Up | KeyCode::Char('k') => from.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => from.saturating_add(1).min(self.furthest),
            KeyCode::PageUp => from.saturating_sub(10),
            KeyCode::PageDown | KeyCode::Char(' ') => from.saturating_add(10).min(self.furthest),
            KeyCode::Home => 0,
            KeyCode::End => self.furthest,
            _ => from,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_scroll_within_the_page_and_three_of_them_end_it() {
        let mut watch =
            Watch { shown: Snapshot::default(), trouble: None, scroll: 0, furthest: 12, paint: Paint::Plain };
        let mut press = |code| (watch.is_the_end(KeyEvent::new(code, KeyModifiers::NONE)), watch.scroll);
        assert_eq!(press(KeyCode::Up), (false, 0));
        assert_eq!(press(KeyCode::Down), (false, 1));
        assert_eq!(press(KeyCode::PageDown), (false, 11));
        assert_eq!(press(KeyCode::PageDown), (false, 12));
        assert_eq!(press(KeyCode::Home), (false, 0));
        assert_eq!(press(KeyCode::End), (false, 12));
        assert!(press(KeyCode::Char('q')).0 && press(KeyCode::Esc).0 && !press(KeyCode::Char('c')).0);
        assert!(watch.is_the_end(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn a_failing_look_keeps_what_was_seen() {
        let shown = Snapshot { program: "1".to_owned(), ..Snapshot::default() };
        let mut watch = Watch { shown: shown.clone(), trouble: None, scroll: 0, furthest: 0, paint: Paint::Plain };
        watch.take(Err(Fault::new(Kind::Config, "x", "no")));
        assert_eq!((&watch.shown, watch.trouble.as_deref()), (&shown, Some("no")));
    }
}
