//! How each shell is told to set and to unset variables, with quoting that no value gets out of.

use bowline_base::Secret;
use serde_json::{Map, Value};

/// A shell, or a format that holds variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// sh, bash, zsh, dash, ksh.
    Posix,
    /// fish.
    Fish,
    /// PowerShell.
    PowerShell,
    /// The command prompt of Windows.
    Cmd,
    /// A file of `NAME=value` lines, as docker and dotenv libraries read them.
    Dotenv,
    /// One JSON object; what is to be unset is null.
    Json,
}

impl Shell {
    /// Every name that [`Shell::named`] takes.
    pub const NAMES: [&'static str; 8] = ["bash", "zsh", "sh", "fish", "powershell", "cmd", "dotenv", "json"];

    /// The shell of that name, or at the end of that path: `/usr/bin/fish`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.rsplit('/').next().unwrap_or_default() {
            "bash" | "zsh" | "sh" | "dash" | "ksh" => Self::Posix,
            "fish" => Self::Fish,
            "powershell" | "pwsh" => Self::PowerShell,
            "cmd" => Self::Cmd,
            "dotenv" => Self::Dotenv,
            "json" => Self::Json,
            _ => return None,
        })
    }

    pub(super) fn render(self, set: &[(&str, Secret)], unset: &[&str]) -> Secret {
        if self == Self::Json {
            return json(set, unset);
        }
        let mut text = String::new();
        for name in unset {
            text.push_str(&self.unset(name));
        }
        for (name, value) in set {
            text.push_str(&self.set(name, value.expose()));
        }
        Secret::new(text)
    }

    fn set(self, name: &str, value: &str) -> String {
        match self {
            // The semicolon is for `eval $(…)` without quotes, which makes one line of all.
            Self::Posix => format!("export {name}='{}';\n", value.replace('\'', r"'\''")),
            Self::Fish => format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'")),
            Self::PowerShell => format!("$Env:{name} = '{}'\n", power_shell(value)),
            Self::Cmd => cmd(name, value),
            Self::Dotenv => format!("{name}={}\n", dotenv(value)),
            Self::Json => String::new(),
        }
    }

    fn unset(self, name: &str) -> String {
        match self {
            Self::Posix => format!("unset {name};\n"),
            Self::Fish => format!("set -e {name}\n"),
            Self::PowerShell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
            Self::Cmd => format!("set \"{name}=\"\n"),
            Self::Dotenv | Self::Json => String::new(),
        }
    }
}

fn json(set: &[(&str, Secret)], unset: &[&str]) -> Secret {
    let mut object = Map::new();
    for (name, value) in set {
        object.insert((*name).to_owned(), value.expose().into());
    }
    for name in unset {
        object.insert((*name).to_owned(), Value::Null);
    }
    Secret::new(format!("{:#}\n", Value::Object(object)))
}

/// PowerShell takes four typographic quotes for `'` as well; each is written twice.
fn power_shell(value: &str) -> String {
    let quote = |c: char| matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}');
    value.chars().flat_map(|c| std::iter::repeat_n(c, if quote(c) { 2 } else { 1 })).collect()
}

/// Inside `set "…"` only the percent sign is still looked at. A quote in the value would end that, and what follows it
/// could be a command: then nothing is quoted and every sign that means something is escaped. A line break cannot be
/// written, and no key has one.
fn cmd(name: &str, value: &str) -> String {
    let value = value.replace('%', "%%").replace(['\r', '\n'], " ");
    if !value.contains('"') {
        return format!("set \"{name}={value}\"\n");
    }
    let sign = |c: char| "\"&|<>^()".contains(c);
    let escaped: String = value.chars().flat_map(|c| sign(c).then_some('^').into_iter().chain([c])).collect();
    format!("set {name}={escaped}\n")
}

/// docker takes a line as it stands, so nothing is quoted that need not be; libraries read double quotes alike.
fn dotenv(value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "/+=_.:-".contains(c));
    if plain {
        return value.to_owned();
    }
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('`', r"\`");
    format!("\"{}\"", escaped.replace('\n', r"\n"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{
        super::{
            Variables,
            tests::{at, credentials},
        },
        *,
    };

    fn text(shell: Shell) -> String {
        Variables::of(&credentials(), Some("eu-central-1"), at()).unwrap().text(shell).expose().to_owned()
    }

    #[test]
    fn posix_text_is_as_written_here() {
        let expected = concat!(
            "unset AWS_PROFILE;\nunset AWS_DEFAULT_PROFILE;\nunset AWS_SECURITY_TOKEN;\n",
            "export AWS_ACCESS_KEY_ID='ASIAEXAMPLE';\n",
            "export AWS_SECRET_ACCESS_KEY='a'\\''b$c`d\"e\\f!g%h^i';\n",
            "export AWS_SESSION_TOKEN='line one\nline two/+=';\n",
            "export AWS_CREDENTIAL_EXPIRATION='2027-01-15T09:00:00Z';\n",
            "export AWS_ACCOUNT_ID='111122223333';\n",
            "export AWS_REGION='eu-central-1';\nexport AWS_DEFAULT_REGION='eu-central-1';\n",
        );
        assert_eq!(text(Shell::Posix), expected);
    }

    #[test]
    fn the_secret_line_of_every_other_shell_is_as_written_here() {
        let secret_line = |shell| {
            let text = text(shell);
            text.lines().find(|line| line.contains("SECRET_ACCESS_KEY")).unwrap().to_owned()
        };
        assert_eq!(secret_line(Shell::Fish), r#"set -gx AWS_SECRET_ACCESS_KEY 'a\'b$c`d"e\\f!g%h^i'"#);
        assert_eq!(secret_line(Shell::PowerShell), r#"$Env:AWS_SECRET_ACCESS_KEY = 'a''b$c`d"e\f!g%h^i'"#);
        assert_eq!(secret_line(Shell::Cmd), r#"set AWS_SECRET_ACCESS_KEY=a'b$c`d^"e\f!g%%h^^i"#);
        assert_eq!(secret_line(Shell::Dotenv), r#"AWS_SECRET_ACCESS_KEY="a'b\$c\`d\"e\\f!g%h^i""#);
        assert_eq!(secret_line(Shell::Json), r#"  "AWS_SECRET_ACCESS_KEY": "a'b$c`d\"e\\f!g%h^i","#);
    }

    /// Whatever a value may hold that means something to some shell.
    const NASTY: [&str; 16] = [
        "plain/+=",
        "'",
        "''a'",
        "\"",
        "$HOME ${HOME} $(id) `id`",
        "!! !$ !x",
        "back\\slash\\",
        "\\'",
        "\\\\n\\t",
        "line one\nline two\n",
        " blank\tand tab ",
        "ünïcode 鍵 🔑 \u{2018}\u{2019}",
        "*?[a-z]{1,2}~#",
        "a;b&c|d<e>f(g)",
        "%PATH% ^x",
        "-n",
    ];

    fn spoken(shell: Shell) -> String {
        let names: Vec<String> = (0..NASTY.len()).map(|number| format!("AWS_TEST_{number}")).collect();
        let set: Vec<(&str, Secret)> =
            names.iter().zip(NASTY).map(|(name, value)| (name.as_str(), Secret::new(value))).collect();
        shell.render(&set, &["AWS_NEVER_SET"]).expose().to_owned()
    }

    #[test]
    fn every_shell_here_reads_back_what_was_written() {
        let mut shells = Vec::new();
        for name in ["sh", "dash", "bash", "zsh", "fish"] {
            let mut script = spoken(Shell::named(name).unwrap());
            for number in 0..NASTY.len() {
                script.push_str(&format!("printf '%s\\0' \"$AWS_TEST_{number}\"\n"));
            }
            let Ok(said) = Command::new(name).args(["-c", &script]).output() else {
                eprintln!("skipped: {name} is not installed");
                continue;
            };
            let said = String::from_utf8(said.stdout).unwrap();
            let read: Vec<&str> = said.split_terminator('\0').collect();
            assert_eq!(read, NASTY, "{name}");
            shells.push(name);
        }
        assert!(shells.contains(&"sh"), "there is always sh");
    }

    /// No such shell is here: what their manuals say.
    #[test]
    fn power_shell_and_cmd_are_written_as_their_manuals_ask() {
        let rows = [
            ("it's", "'it''s'", "\"X=it's\""),
            ("\u{2018}a\u{2019}", "'\u{2018}\u{2018}a\u{2019}\u{2019}'", "\"X=\u{2018}a\u{2019}\""),
            ("$Env:P `n", "'$Env:P `n'", "\"X=$Env:P `n\""),
            ("50%", "'50%'", "\"X=50%%\""),
            ("a&b|c>d", "'a&b|c>d'", "\"X=a&b|c>d\""),
            ("a\"&calc", "'a\"&calc'", "X=a^\"^&calc"),
            ("^!\\", "'^!\\'", "\"X=^!\\\""),
            ("one\ntwo", "'one\ntwo'", "\"X=one two\""),
            ("鍵", "'鍵'", "\"X=鍵\""),
        ];
        for (value, power_shell, cmd) in rows {
            let text = |shell: Shell| shell.render(&[("X", Secret::new(value))], &[]).expose().to_owned();
            assert_eq!(text(Shell::PowerShell), format!("$Env:X = {power_shell}\n"));
            assert_eq!(text(Shell::Cmd), format!("set {cmd}\n"));
        }
    }

    #[test]
    fn what_was_set_is_taken_away_again() {
        let text = Variables::removal().text(Shell::Posix);
        assert_eq!(text.expose().lines().count(), 10);
        assert!(text.expose().lines().all(|line| line.starts_with("unset AWS_")), "{}", text.expose());
    }

    #[test]
    fn shells_are_known_by_name_and_by_path() {
        assert_eq!(Shell::named("/usr/bin/zsh"), Some(Shell::Posix));
        assert!(Shell::NAMES.iter().all(|name| Shell::named(name).is_some()));
        assert_eq!(Shell::named("tcsh"), None);
    }
}
