//! The live screen: a pure function of what is known, the time and the size. It knows no clock, no terminal and no key.

use std::time::Duration;

use bowline_base::{Timestamp, units};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    snapshot::{Artifacts, Credential, Gateway, Peer, Snapshot, Vpn},
    words::ratio,
};

/// Whether colours may be used; without them everything is said in words all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

/// What is drawn.
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Timestamp,
    /// Lines that are scrolled past.
    pub(super) scroll: u16,
    pub(super) paint: Paint,
    /// Why nothing newer is known.
    pub(super) trouble: Option<&'a str>,
}

/// Draws everything, and gives how far it can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View<'_>) -> u16 {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(Paragraph::new(title(view)), head);
    let lines = body_lines(view, body.width);
    let furthest = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(body.height);
    let scroll = view.scroll.min(furthest);
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), body);
    frame.render_widget(Paragraph::new(footer(view, furthest, scroll, foot)), foot);
    furthest
}

/// What a word means.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Warn,
    Bad,
    Faint,
    Title,
    Plain,
}

impl Paint {
    fn span(self, text: impl Into<String>, tone: Tone) -> Span<'static> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let style = match (self, tone) {
            (_, Tone::Title) => bold,
            (Self::Colours, Tone::Good) => Style::new().fg(Color::Green),
            (Self::Colours, Tone::Warn) => Style::new().fg(Color::Yellow),
            (Self::Colours, Tone::Bad) => bold.fg(Color::Red),
            (Self::Plain, Tone::Bad) => bold,
            (Self::Colours, Tone::Faint) => Style::new().fg(Color::DarkGray),
            _ => Style::new(),
        };
        Span::styled(text.into(), style)
    }
}

fn title(view: &View<'_>) -> Line<'static> {
    let Snapshot { daemon, obstacle, program, state, since, .. } = view.snapshot;
    let unused = obstacle.as_ref().map(|(why, _)| format!("a daemon runs, without a status for this command: {why}"));
    let (word, tone) = match (daemon, state.as_str()) {
        (false, _) => (unused.as_deref().unwrap_or("no daemon runs (bowline run)"), Tone::Bad),
        (true, "ok") => ("everything works", Tone::Good),
        (true, "degraded") => ("works, but not as it should", Tone::Warn),
        (true, _) => ("something does not work", Tone::Bad),
    };
    let up = since.map(|since| format!("  up {}", ago(since, view.now))).unwrap_or_default();
    Line::from(vec![
        view.paint.span(format!("Bowline {program}  "), Tone::Title),
        view.paint.span(word, tone),
        view.paint.span(up, Tone::Faint),
    ])
}

fn footer(view: &View<'_>, furthest: u16, scroll: u16, area: Rect) -> Line<'static> {
    let keys =
        if furthest == 0 { "q quits".to_owned() } else { format!("q quits  up/down scrolls {scroll}/{furthest}") };
    let trouble = view.trouble.map(|why| format!("  {why}")).unwrap_or_default();
    let room = usize::from(area.width).saturating_sub(keys.chars().count());
    Line::from(vec![view.paint.span(keys, Tone::Faint), view.paint.span(cut(&trouble, room), Tone::Bad)])
}

fn body_lines(view: &View<'_>, width: u16) -> Vec<Line<'static>> {
    let mut page = Page { lines: Vec::new(), paint: view.paint, width: usize::from(width), now: view.now };
    let snapshot = view.snapshot;
    page.credentials(&snapshot.credentials);
    if let Some(job) = &snapshot.artifacts {
        page.artifacts(job);
    }
    if let Some(job) = &snapshot.gateway {
        page.gateway(job);
    }
    if let Some(job) = &snapshot.vpn {
        page.vpn(job);
    }
    page.wrong(snapshot);
    page.last(snapshot);
    page.lines
}

/// Lines in the making.
struct Page {
    lines: Vec<Line<'static>>,
    paint: Paint,
    width: usize,
    now: Timestamp,
}

impl Page {
    fn title(&mut self, title: &str, aside: &str) {
        self.lines.push(Line::default());
        let aside = cut(&format!("  {aside}"), self.width.saturating_sub(title.len()));
        self.lines.push(Line::from(vec![self.paint.span(title, Tone::Title), self.paint.span(aside, Tone::Faint)]));
    }

    /// A line of columns: what is too long is cut at the edge.
    fn row<const N: usize>(&mut self, cells: [(String, Tone); N]) {
        self.lines.push(Line::from(cells.map(|(text, tone)| self.paint.span(text, tone)).to_vec()));
    }

    /// A sentence, as many lines as it takes.
    fn said(&mut self, label: &str, text: &str, tone: Tone) {
        let room = self.width.saturating_sub(4 + label.chars().count());
        for (number, piece) in wrapped(text, room).into_iter().enumerate() {
            let label = if number == 0 { label.to_owned() } else { " ".repeat(label.chars().count()) };
            self.row([(format!("    {label}"), Tone::Faint), (piece, tone)]);
        }
    }

    fn credentials(&mut self, lines: &[Credential]) {
        self.title("CREDENTIALS", if lines.is_empty() { "nothing was asked for yet" } else { "" });
        let names = lines.iter().map(|line| line.kind.len() + line.name.chars().count() + 1);
        let width = names.max().unwrap_or(0).min(self.width / 2);
        for line in lines {
            let tone = match line.state.as_str() {
                "fresh" | "signed-in" | "good" => Tone::Good,
                "stale" | "ending" => Tone::Warn,
                "new" | "ended" => Tone::Faint,
                _ => Tone::Bad,
            };
            let ends = line.expires.map(|end| format!("{} left", left(end, self.now))).unwrap_or_default();
            let next = line.next_try.map(|next| format!("renewed in {}", left(next, self.now))).unwrap_or_default();
            let name = cut(&format!("{} {}", line.kind, line.name), width);
            self.row([
                (format!("  {name:width$}  "), Tone::Plain),
                (format!("{:13}", line.state.replace('-', " ")), tone),
                (format!("{ends:>17}  "), Tone::Plain),
                (format!("{next:22}  "), Tone::Faint),
                (line.source.clone(), Tone::Faint),
            ]);
            if let Some(why) = &line.failure {
                self.said("why: ", why, Tone::Bad);
            }
            if let Some(command) = &line.command {
                self.said("next: ", command, Tone::Plain);
            }
        }
    }

    fn artifacts(&mut self, job: &Artifacts) {
        let cache = format!("{}  {} in {} files", job.listen.join(", "), units::size(job.bytes), job.files);
        self.title("ARTIFACTS", &cache);
        for one in &job.repositories {
            let hits = ratio(one.hits, one.requests).unwrap_or_else(|| "-".to_owned());
            let failed = if one.failed == 0 { String::new() } else { format!("  {} failed", one.failed) };
            self.row([
                (format!("  {:12} ", one.path), Tone::Plain),
                (bar(one.hits, one.requests), Tone::Good),
                (format!(" {hits:>7} from the cache of {} requests", one.requests), Tone::Plain),
                (failed, Tone::Bad),
                (format!("  {}", one.from.join(", ")), Tone::Faint),
            ]);
        }
    }

    fn gateway(&mut self, job: &Gateway) {
        let since = job.since.map(|since| format!(", for {}", ago(since, self.now))).unwrap_or_default();
        let moving = job.moving_to.as_ref().map(|to| format!(", moving to {to}")).unwrap_or_default();
        let address = job.address.as_deref().unwrap_or("address not known yet");
        self.title("GATEWAY", &format!("{address}{since}{moving}"));
        if job.connections.is_empty() {
            self.row([("  no VPN connection is looked after".to_owned(), Tone::Faint)]);
        }
        for one in &job.connections {
            let verdict = one.verdict.as_ref().map(|verdict| format!("  {verdict}")).unwrap_or_default();
            let state = if one.state == "available" { Tone::Good } else { Tone::Warn };
            self.row([(format!("  {}  ", one.id), Tone::Plain), (one.state.clone(), state), (verdict, Tone::Faint)]);
            for tunnel in &one.tunnels {
                let (word, tone) = if tunnel.up { ("up  ", Tone::Good) } else { ("down", Tone::Bad) };
                let since = tunnel.since.map(|since| format!("  for {}", ago(since, self.now))).unwrap_or_default();
                self.row([
                    ("    tunnel ".to_owned(), Tone::Faint),
                    (word.to_owned(), tone),
                    (format!("  {:15}", tunnel.address), Tone::Plain),
                    (since, Tone::Faint),
                ]);
            }
        }
    }

    fn vpn(&mut self, job: &Vpn) {
        let page = job.page.as_ref().map(|page| format!("  users: {page}")).unwrap_or_default();
        let aside = format!("{} of {} connected  {}{page}", job.connected, job.users, job.listening.join(", "));
        self.title("VPN", &aside);
        // Who is there first: of many users these matter.
        let mut peers: Vec<&Peer> = job.peers.iter().collect();
        peers.sort_by_key(|peer| !peer.connected);
        for peer in peers {
            let away = peer.inactive.clone().unwrap_or_else(|| "away".to_owned());
            let (word, tone) = if peer.connected { ("connected".to_owned(), Tone::Good) } else { (away, Tone::Faint) };
            let heard =
                peer.heard.map_or_else(|| "never heard".to_owned(), |at| format!("heard {} ago", ago(at, self.now)));
            self.row([
                (format!("  {:20} ", cut(&peer.name, 20)), Tone::Plain),
                (format!("{word:12}"), tone),
                (format!("{heard:22}"), Tone::Faint),
                (format!("{} up  {} down", units::size(peer.received), units::size(peer.sent)), Tone::Plain),
            ]);
        }
    }

    fn wrong(&mut self, snapshot: &Snapshot) {
        if snapshot.wrong.is_empty() {
            return;
        }
        self.title("WHAT NEEDS SOMEBODY", "");
        for wrong in &snapshot.wrong {
            let (word, tone) = if wrong.failed { ("FAILED    ", Tone::Bad) } else { ("degraded  ", Tone::Warn) };
            self.row([(format!("  {word}"), tone), (wrong.id.clone(), Tone::Plain)]);
            self.said("", &wrong.why, Tone::Plain);
            if let Some(fix) = &wrong.fix {
                self.said("fix: ", fix, Tone::Title);
            }
        }
    }

    fn last(&mut self, snapshot: &Snapshot) {
        let Some(last) = &snapshot.last else { return };
        let when = last.at.map(|at| format!("{} ago", ago(at, self.now))).unwrap_or_default();
        self.title("LAST ERROR", &when);
        self.said("", &last.what, Tone::Plain);
        if let Some(fix) = &last.fix {
            self.said("fix: ", fix, Tone::Title);
        }
    }
}

/// How long until `end`: `41:07`, `3 h 02 min`, `89 d 4 h`; nothing is left of the past.
fn left(end: Timestamp, now: Timestamp) -> String {
    countdown(Duration::try_from(end.duration_since(now)).unwrap_or_default())
}

fn ago(past: Timestamp, now: Timestamp) -> String {
    countdown(Duration::try_from(now.duration_since(past)).unwrap_or_default())
}

fn countdown(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=3599 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..=86399 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// Ten cells, as many full as the share is worth.
fn bar(part: u64, whole: u64) -> String {
    let full = part.saturating_mul(10).checked_div(whole).unwrap_or(0).min(10);
    (0..10).map(|cell| if cell < full { '#' } else { '.' }).collect()
}

/// At most `room` characters; what is cut off is shown as such.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['~']).take(room).collect()
}

/// `text` in lines of at most `room` characters, broken between words where it can be.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace().flat_map(|word| pieces(word, room)) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// A word, or what of it fits on a line each.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(room).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use bowline_base::parse_timestamp;
    use ratatui::{Terminal, backend::TestBackend, style::Color};
    use serde_json::{Value, json};

    use super::*;

    fn everything() -> Value {
        json!({
            "daemon": true, "program": "1.2.3", "state": "degraded", "since": "2026-11-28T09:00:00Z",
            "credentials": [
                { "kind": "profile", "name": "build", "state": "fresh", "source": "sso corp", "expires": "2026-11-28T12:41:07Z", "next_try": "2026-11-28T12:20:00Z" },
                { "kind": "session", "name": "corp", "state": "login-needed", "source": "", "failure": "the session has ended", "command": "bowline login corp" },
            ],
            "jobs": {
                "artifacts": { "listen": ["127.0.0.1:9000"], "cache": { "bytes": 1_048_576, "files": 12 },
                    "repositories": [{ "path": "/", "from": ["s3://corp-maven"], "requests": { "hit": 93, "miss": 7 } }] },
                "gateway": { "address": "198.51.100.2", "address_since": "2026-11-28T11:00:00Z", "connections": [
                    { "id": "vpn-0abc", "state": "available", "verdict": "is where it belongs", "tunnels": [
                        { "address": "203.0.113.1", "up": true, "since": "2026-11-28T11:01:00Z" }, { "address": "203.0.113.2", "up": false }] }] },
                "vpn": { "listening": ["0.0.0.0:51820"], "users": 2, "connected": 1, "page": "http://127.0.0.1:8000/", "peers": [
                    { "user": "bob", "connected": false }, { "user": "alice", "connected": true, "last_handshake": "2026-11-28T11:59:48Z", "received": 2048, "sent": 512 }] },
            },
            "checks": [{ "id": "gateway.tunnels", "verdict": "degraded", "why": "no tunnel of vpn-0abc is up", "fix": "look at the device" }, { "id": "x", "verdict": "ok", "why": "" }],
            "last_trouble": { "at": "2026-11-28T11:55:00Z", "level": "warning", "what": "cannot be renewed", "fix": "bowline login corp" },
        })
    }

    /// The screen as text, and how far it can be scrolled.
    fn drawn(document: &Value, size: (u16, u16), scroll: u16, paint: Paint) -> (Terminal<TestBackend>, u16) {
        let snapshot = Snapshot::of(document);
        let now = parse_timestamp("2026-11-28T12:00:00Z").unwrap();
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let mut furthest = 0;
        let view = View { snapshot: &snapshot, now, scroll, paint, trouble: None };
        terminal.draw(|frame| furthest = draw(frame, &view)).unwrap();
        (terminal, furthest)
    }

    fn text(terminal: &Terminal<TestBackend>) -> String {
        terminal.backend().to_string()
    }

    #[test]
    fn everything_of_the_five_jobs_is_on_a_large_screen() {
        let (terminal, furthest) = drawn(&everything(), (130, 40), 0, Paint::Plain);
        let text = text(&terminal);
        assert_eq!(furthest, 0, "{text}");
        for words in [
            "Bowline 1.2.3  works, but not as it should  up 3 h 00 min",
            "profile build  fresh               41:07 left  renewed in 20:00",
            "session corp   login needed",
            "why: the session has ended",
            "next: bowline login corp",
            "#########.  93.0 % from the cache of 100 requests",
            "GATEWAY  198.51.100.2, for 1 h 00 min",
            "tunnel up    203.0.113.1",
            "tunnel down  203.0.113.2",
            "VPN  1 of 2 connected",
            "alice                connected   heard 0:12 ago",
            "degraded  gateway.tunnels",
            "fix: look at the device",
            "LAST ERROR  5:00 ago",
        ] {
            assert!(text.contains(words), "`{words}` is not in\n{text}");
        }
        assert!(text.find("alice") < text.find("bob"), "who is connected comes first");
    }

    #[test]
    fn a_small_screen_scrolls_and_never_breaks() {
        let (top, furthest) = drawn(&everything(), (60, 12), 0, Paint::Plain);
        assert!(furthest > 5 && text(&top).contains("up/down scrolls 0/") && !text(&top).contains("LAST ERROR"));
        let (end, _) = drawn(&everything(), (60, 12), u16::MAX, Paint::Plain);
        assert!(text(&end).contains("fix: bowline login corp"), "{}", text(&end));
        for size in [(1, 1), (5, 3), (20, 2), (300, 100)] {
            drawn(&everything(), size, 3, Paint::Colours);
            drawn(&Value::Null, size, 0, Paint::Colours);
        }
    }

    #[test]
    fn without_a_daemon_it_says_how_to_start_one() {
        let (terminal, _) = drawn(&json!({ "daemon": false }), (80, 10), 0, Paint::Plain);
        assert!(text(&terminal).contains("no daemon runs (bowline run)"), "{}", text(&terminal));
    }

    #[test]
    fn no_colour_means_none() {
        let colours = |paint| {
            let (terminal, _) = drawn(&everything(), (130, 40), 0, paint);
            terminal.backend().buffer().content.iter().any(|cell| cell.fg != Color::Reset)
        };
        assert!(colours(Paint::Colours) && !colours(Paint::Plain));
    }

    #[test]
    fn long_words_are_broken_and_long_cells_cut() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("arn:aws:iam::1", 8), ["arn:aws:", "iam::1"]);
        assert_eq!(
            (cut("abcdef", 4), cut("abcd", 4), cut("ab", 0)),
            ("abc~".to_owned(), "abcd".to_owned(), String::new())
        );
        assert_eq!(
            (bar(0, 0), bar(1, 1), bar(1, 2)),
            ("..........".to_owned(), "##########".to_owned(), "#####.....".to_owned())
        );
    }
}
