//! Shell words as botocore splits them: quotes and backslashes, no comments, no expansion.
//!
//! Section headers (`[profile "d e"]`) and `credential_process` lines are split by this same rule.

/// A quote was opened and not closed, or a backslash ends the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quote is not closed, or a backslash stands at the end")]
pub struct Unclosed;

/// Splits `text` at blanks. Single quotes keep all, double quotes keep all but `\"` and `\\`.
///
/// # Errors
/// [`Unclosed`] when the text ends inside a quote or after a backslash.
pub fn words(text: &str) -> Result<Vec<String>, Unclosed> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => found.extend(word.take()),
            '\'' => single_quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(rest.next().ok_or(Unclosed)?),
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word);
    Ok(found)
}

/// `name` as one word of a header: bare if that reads back as itself, else in quotes.
pub(crate) fn quoted(name: &str) -> String {
    if words(name).is_ok_and(|split| split == [name]) {
        return name.to_owned();
    }
    if !name.contains('\'') {
        return format!("'{name}'");
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn single_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Unclosed> {
    loop {
        match rest.next().ok_or(Unclosed)? {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Unclosed> {
    loop {
        match rest.next().ok_or(Unclosed)? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or(Unclosed)? {
                special @ ('"' | '\\') => word.push(special),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expectations printed by Python's `shlex.split`.
    #[test]
    fn splits_as_pythons_shlex_does() {
        for (text, expected) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            ("profile #a", vec!["profile", "#a"]),
            (r"'x\y' z", vec![r"x\y", "z"]),
            (r#""x\y\"z""#, vec![r#"x\y"z"#]),
            (r"x\ y", vec!["x y"]),
            ("'' a''b", vec!["", "ab"]),
            (r#"/bin/t --name "d e"'f'"#, vec!["/bin/t", "--name", "d ef"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["it's", "\"a", "a\\", "\"a\\"] {
            assert_eq!(words(text), Err(Unclosed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_name_reads_back_as_itself(name in "\\PC{0,12}") {
            prop_assert_eq!(words(&quoted(&name)), Ok(vec![name]));
        }
    }
}
