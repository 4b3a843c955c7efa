//! YAML's short form, `environment: {A: b, C: d}` or `[A=b]`, as the lines that it stands for. Pure.

/// The lines of `text`; each short `environment` becomes a line for each of its entries.
pub(super) fn in_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let opening = opening(line);
        rest = match opening {
            Some(at) => {
                lines.push(line[..at].to_owned());
                let (entries, after) = entries(&rest[at + 1..]);
                lines.extend(entries.into_iter().map(|entry| format!("- {entry}")));
                after
            }
            None => {
                lines.push(line.to_owned());
                after
            }
        };
    }
    lines
}

/// Where the bracket stands that follows `environment:`.
fn opening(line: &str) -> Option<usize> {
    const NAME: &str = "environment:";
    let at = line.find(NAME)? + NAME.len();
    let blank = line[at..].len() - line[at..].trim_start().len();
    let is_comment = line[..at].trim_start().starts_with('#') || line[..at].contains(" #");
    (!is_comment && line[at + blank..].starts_with(['{', '['])).then_some(at + blank)
}

/// What stands between commas up to the closing bracket, and what follows that on later lines.
fn entries(text: &str) -> (Vec<String>, &str) {
    let (mut entries, mut entry, mut quote, mut depth) = (Vec::new(), String::new(), None, 0);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if entry.ends_with(char::is_whitespace) || entry.is_empty() => {
                while chars.next_if(|(_, c)| *c != '\n').is_some() {}
                continue;
            }
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') if depth == 0 => {
                entries.push(entry);
                return (entries, &text[at + 1..]);
            }
            (None, '}' | ']') => depth -= 1,
            (None, ',') if depth == 0 => {
                entries.push(std::mem::take(&mut entry));
                continue;
            }
            (None, _) => {}
        }
        entry.push(if c == '\n' { ' ' } else { c });
    }
    entries.push(entry);
    (entries, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_form_becomes_a_line_for_each_entry() {
        let text = "a:\n  environment: {A: \"x, y\", # no\n B: ${C:-1}}\n  ports: []\n# environment: {X: 1}\n";
        let lines: Vec<String> =
            in_lines(text).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            ["a:", "environment:", "- A: \"x, y\"", "- B: ${C:-1}", "", "ports: []", "# environment: {X: 1}"]
        );
        assert_eq!(in_lines("environment: {A: b"), ["environment: ", "- A: b"]);
    }
}
