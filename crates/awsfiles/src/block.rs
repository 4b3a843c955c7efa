//! A marked block at the end of a file that a program may write anew, beside everything that people wrote.
//!
//! Only the lines between the two marks change. The result is read back before it counts: every section outside of the
//! block must say what it said before.

use base::{Fault, Kind};
use bowline_base as base;

use crate::{Document, EditError, Mistake, RewriteError};

/// Why a block was not written. Nothing is changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The file has a mistake, so no AWS tool can read it; it is not touched.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// One of the two marks is missing or stands twice.
    #[error("the marks of block `{0}` do not belong together")]
    Marks(String),
    /// With the block the file would not read as it should.
    #[error("block `{0}` cannot be written so that AWS tools read it back")]
    Unwritable(String),
}

impl From<BlockError> for Fault {
    fn from(error: BlockError) -> Self {
        let message = error.to_string();
        match error {
            BlockError::Mistake(mistake) => mistake.into(),
            BlockError::Marks(name) => Self::new(Kind::Config, "AWS file", message).hint(format!(
                "remove every line from `{}` to `{}`",
                first_mark(&name),
                last_mark(&name)
            )),
            BlockError::Unwritable(_) => {
                Self::new(Kind::Config, "AWS file", message).hint("choose names without brackets and line breaks")
            }
        }
    }
}

impl From<BlockError> for RewriteError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Mistake(mistake) => mistake.into(),
            BlockError::Marks(name) | BlockError::Unwritable(name) => {
                Self::Edit(EditError::Unwritable { header: name.clone(), key: name })
            }
        }
    }
}

impl Document {
    /// The lines of block `name` without its marks, as they stand; `None` if there is no such block.
    ///
    /// # Errors
    /// [`BlockError::Marks`].
    pub fn block(&self, name: &str) -> Result<Option<Vec<String>>, BlockError> {
        let Some((first, last)) = self.marks(name)? else { return Ok(None) };
        Ok(Some(self.lines[first + 1..last].iter().map(|line| trimmed(&line.raw).to_owned()).collect()))
    }

    /// Makes `lines` the block `name`, in its place or at the end of the file; no lines remove it with its marks.
    ///
    /// # Errors
    /// [`BlockError`]; then the document is unchanged.
    pub fn set_block(&mut self, name: &str, lines: &[String]) -> Result<(), BlockError> {
        let before = self.without_block(name)?.sections()?;
        let changed = self.with_block(name, lines)?;
        let unwritable = || BlockError::Unwritable(name.to_owned());
        let outside = changed.without_block(name)?.sections().map_err(|_| unwritable())?;
        let all = changed.sections().map_err(|_| unwritable())?;
        let said = |sections: &[crate::Section]| -> Vec<_> {
            let section = |section: &crate::Section| {
                let settings = section.settings.iter().map(|(key, setting)| (key.clone(), setting.content.clone()));
                (section.name.clone(), settings.collect::<Vec<_>>())
            };
            sections.iter().map(section).collect()
        };
        let (was, is) = (said(&before), said(&all));
        if was != said(&outside) || !was.iter().all(|section| is.contains(section)) {
            return Err(unwritable());
        }
        *self = changed;
        Ok(())
    }

    fn with_block(&self, name: &str, lines: &[String]) -> Result<Self, BlockError> {
        let ending = self.line_ending();
        let mut raw: Vec<String> = self.lines.iter().map(|line| line.raw.clone()).collect();
        let marks = self.marks(name)?;
        let (range, fresh) = marks.map_or((raw.len()..raw.len(), true), |(first, last)| (first..last + 1, false));
        let mut block = Vec::new();
        if !lines.is_empty() {
            block.push(first_mark(name));
            block.extend_from_slice(lines);
            block.push(last_mark(name));
        }
        if fresh
            && !block.is_empty()
            && let Some(last) = raw.last_mut().filter(|last| !last.ends_with(['\n', '\r']))
        {
            last.push_str(ending);
        }
        raw.splice(range, block.into_iter().map(|line| line + ending));
        Ok(self.with_lines(&raw))
    }

    fn without_block(&self, name: &str) -> Result<Self, BlockError> {
        self.with_block(name, &[])
    }

    fn marks(&self, name: &str) -> Result<Option<(usize, usize)>, BlockError> {
        let at = |mark: &str| -> Vec<usize> {
            (0..self.lines.len()).filter(|line| trimmed(&self.lines[*line].raw) == mark).collect()
        };
        match (at(&first_mark(name)).as_slice(), at(&last_mark(name)).as_slice()) {
            ([], []) => Ok(None),
            ([first], [last]) if first < last => Ok(Some((*first, *last))),
            _ => Err(BlockError::Marks(name.to_owned())),
        }
    }
}

fn trimmed(raw: &str) -> &str {
    raw.trim_end_matches(['\n', '\r'])
}

fn first_mark(name: &str) -> String {
    format!("# >>> bowline: {name} (written anew at each sync: change nothing in here) >>>")
}

fn last_mark(name: &str) -> String {
    format!("# <<< bowline: {name} <<<")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse(std::path::Path::new("config"), text.as_bytes()).unwrap()
    }

    fn text(document: &Document) -> String {
        String::from_utf8(document.to_bytes()).unwrap()
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_block_goes_to_the_end_is_replaced_in_its_place_and_leaves_no_trace() {
        let mine = "# mine\r\n[profile a]\r\nregion = x\r\n";
        let mut document = parse(mine);
        document.set_block("corp", &lines("[profile b]\nregion = y")).unwrap();
        document.set_block("other", &lines("[profile c]")).unwrap();
        document.set_block("corp", &lines("[profile d]")).unwrap();
        assert_eq!(document.block("corp").unwrap().unwrap(), ["[profile d]"]);
        assert!(text(&document).starts_with(mine) && text(&document).contains("[profile d]\r\n"));
        document.set_block("corp", &[]).unwrap();
        document.set_block("other", &[]).unwrap();
        assert_eq!(text(&document), mine);
    }

    #[test]
    fn broken_marks_and_lines_that_would_change_others_are_refused() {
        let mut half = parse(&format!("{}\n[profile a]\n", first_mark("corp")));
        let before = text(&half);
        assert_eq!(half.set_block("corp", &[]), Err(BlockError::Marks("corp".to_owned())));
        assert_eq!(text(&half), before);
        let mut document = parse("[profile a]\nregion = x");
        for bad in ["output = json", "  region = y", "[profile a]", "[profile"] {
            assert!(document.set_block("corp", &lines(bad)).is_err(), "{bad}");
        }
        assert_eq!(text(&document), "[profile a]\nregion = x");
    }

    proptest! {
        #[test]
        fn what_people_wrote_is_byte_identical_after_writing_and_removing(names in proptest::collection::vec("[a-z]{1,8}", 0..6)) {
            let mine: String = names.iter().enumerate().map(|(at, name)| format!("# {name}\n\n[profile {name}{at}]\nregion = r\n")).collect();
            let mut document = parse(&mine);
            document.set_block("s", &lines("[profile zz9]\nx = y")).unwrap();
            prop_assert!(text(&document).starts_with(&mine));
            document.set_block("s", &[]).unwrap();
            prop_assert_eq!(text(&document), mine);
        }
    }
}
