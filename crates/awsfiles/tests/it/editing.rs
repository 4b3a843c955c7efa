//! Changes to a document: where things go, and that nothing else moves.

use base::Fault;
use bowline_awsfiles::{Document, EditError, SectionName};
use bowline_base as base;
use proptest::prelude::*;

use crate::document;

fn profile(name: &str) -> SectionName {
    SectionName::Profile(name.into())
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

fn after_set(before: &str, name: &str, key: &str, value: &str) -> String {
    let mut document = document(before);
    document.set(&profile(name), key, value).unwrap();
    text(&document)
}

/// The expectations of the first five are what `aws configure set` 1.45.11 wrote.
#[test]
fn a_key_goes_where_aws_configure_set_puts_it() {
    for (before, name, key, expected) in [
        (
            "# top\n[profile a]\nk = x # why\n; c\noutput=json\n\n[profile b]\nz=1\n",
            "a",
            "k",
            "# top\n[profile a]\nk = NEW\n; c\noutput=json\n\n[profile b]\nz=1\n",
        ),
        ("[profile a]\nr = x\n\n[profile b]\nz=1\n", "a", "k", "[profile a]\nr = x\nk = NEW\n\n[profile b]\nz=1\n"),
        (
            "[profile a]\ns3 =\n  x = 1\n\n[profile b]\nz=1\n",
            "a",
            "k",
            "[profile a]\ns3 =\n  x = 1\nk = NEW\n\n[profile b]\nz=1\n",
        ),
        ("[profile a]\n\n[profile b]\nx=1\n", "a", "k", "[profile a]\nk = NEW\n\n[profile b]\nx=1\n"),
        ("[profile a]\nz=1\n\n", "new p", "k", "[profile a]\nz=1\n\n[profile 'new p']\nk = NEW\n"),
        ("[profile a]\nz=1\n\n", "a", "k", "[profile a]\nz=1\nk = NEW\n\n"),
        ("", "default", "k", "[default]\nk = NEW\n"),
        ("[profile a]\nz=1", "c", "k", "[profile a]\nz=1\n[profile c]\nk = NEW\n"),
        ("[default]\nz=1", "default", "k", "[default]\nz=1\nk = NEW\n"),
    ] {
        assert_eq!(after_set(before, name, key, "NEW"), expected, "{before:?}");
    }
}

#[test]
fn a_profile_is_found_however_its_header_is_written() {
    assert_eq!(after_set("[profile  a]\nk=1\n", "a", "k", "2"), "[profile  a]\nk = 2\n");
    assert_eq!(after_set("[profile \"a b\"] # c\n", "a b", "k", "2"), "[profile \"a b\"] # c\nk = 2\n");
    assert_eq!(after_set("[profile default]\n", "default", "k", "2"), "[profile default]\nk = 2\n");
}

#[test]
fn of_two_headers_for_one_profile_the_one_that_counts_is_changed() {
    let before = "[default]\na=1\n[profile default]\nb=2\n";
    assert_eq!(after_set(before, "default", "a", "3"), "[default]\na=1\n[profile default]\nb=2\na = 3\n");
}

#[test]
fn a_key_is_found_in_any_case_and_keeps_its_spelling_and_indentation() {
    assert_eq!(after_set("[default]\n  Region: x\n", "default", "region", "y"), "[default]\n  Region = y\n");
}

#[test]
fn the_line_ending_and_the_byte_order_mark_of_the_file_are_kept() {
    let before = "\u{feff}[default]\r\na = 1\r\n";
    assert_eq!(after_set(before, "default", "b", "2"), "\u{feff}[default]\r\na = 1\r\nb = 2\r\n");
    assert_eq!(after_set("[default]\r\na = 1", "x", "b", "2"), "[default]\r\na = 1\r\n[profile x]\r\nb = 2\r\n");
}

#[test]
fn a_value_that_stands_there_already_changes_no_byte() {
    let before = "[default]\n a  :  1 \n";
    assert_eq!(after_set(before, "default", "a", "1"), before);
}

#[test]
fn a_changed_value_takes_its_continuation_lines_with_it() {
    assert_eq!(after_set("[default]\na = 1\n  2\n\n  3\nb=1\n", "default", "a", "9"), "[default]\na = 9\nb=1\n");
}

#[test]
fn nested_keys_are_changed_added_and_begun() {
    let nested = |before: &str, inner: &str| {
        let mut document = document(before);
        document.set_nested(&profile("a"), "s3", inner, "2").map(|()| text(&document))
    };
    assert_eq!(nested("[profile a]\ns3 =\n  x = 1\nb=1\n", "x").unwrap(), "[profile a]\ns3 =\n  x = 2\nb=1\n");
    assert_eq!(
        nested("[profile a]\ns3 =\n  x = 1\n\n[b]\n", "y").unwrap(),
        "[profile a]\ns3 =\n  x = 1\n  y = 2\n\n[b]\n"
    );
    assert_eq!(nested("[profile a]\ns3 =\nb=1\n", "x").unwrap(), "[profile a]\ns3 =\n    x = 2\nb=1\n");
    assert_eq!(nested("", "x").unwrap(), "[profile a]\ns3 =\n    x = 2\n");
    assert!(matches!(nested("[profile a]\ns3 = flat\n", "x"), Err(EditError::NotNested { .. })));
}

#[test]
fn keys_and_sections_are_removed_with_all_that_belongs_to_them() {
    let mut edited = document("# top\n[profile a]\ns3 =\n  x = 1\nb=1\n\n# of c\n[profile c]\nd=1\n");
    assert!(edited.remove(&profile("a"), "S3").unwrap());
    assert!(!edited.remove(&profile("a"), "s3").unwrap());
    assert_eq!(text(&edited), "# top\n[profile a]\nb=1\n\n# of c\n[profile c]\nd=1\n");
    assert!(edited.remove_section(&profile("a")).unwrap());
    assert!(!edited.remove_section(&profile("a")).unwrap());
    assert_eq!(text(&edited), "# top\n# of c\n[profile c]\nd=1\n");
}

#[test]
fn each_kind_of_section_gets_its_header() {
    for (section, expected) in [
        (SectionName::Credentials("d e".into()), "[d e]\nk = v\n"),
        (SectionName::SsoSession("corp".into()), "[sso-session corp]\nk = v\n"),
        (SectionName::Services("dev".into()), "[services dev]\nk = v\n"),
        (profile("it's"), "[profile \"it's\"]\nk = v\n"),
    ] {
        let mut edited = document("");
        edited.set(&section, "k", "v").unwrap();
        assert_eq!(text(&edited), expected);
    }
}

#[test]
fn what_would_not_read_back_is_refused_and_nothing_changes() {
    let before = "[default]\na = 1\n[profile b]\n";
    for (name, key, value) in [
        ("default", "a", "x\n[profile evil]"),
        ("default", "a", " padded "),
        ("default", "a", "x\r"),
        ("default", "k=l", "v"),
        ("default", "#k", "v"),
        ("default", "[k]", "v"),
        ("default", "", "v"),
        ("new\n[x]", "k", "v"),
    ] {
        let mut edited = document(before);
        let error = edited.set(&profile(name), key, value).unwrap_err();
        assert!(matches!(error, EditError::Unwritable { .. }), "{name:?} {key:?} {value:?}: {error:?}");
        assert_eq!(text(&edited), before);
    }
}

#[test]
fn a_refusal_does_not_show_the_value() {
    let error = document("").set(&profile("a"), "aws_secret_access_key", "hunter2\n").unwrap_err();
    assert!(!format!("{:?}", Fault::from(error)).contains("hunter2"));
}

#[test]
fn an_indented_header_below_does_not_become_part_of_the_new_key() {
    assert_eq!(
        after_set("[default]\n  [profile b]\n  x=1\n", "default", "k", "v"),
        "[default]\n  k = v\n  [profile b]\n  x=1\n"
    );
}

#[test]
fn removing_what_keeps_two_values_apart_is_refused() {
    let before = "[default]\nk = 1\n[profile b]\n  [profile c]\n  x=1\n";
    let mut edited = document(before);
    assert!(matches!(edited.remove_section(&profile("b")), Err(EditError::Unwritable { .. })));
    assert_eq!(text(&edited), before);
}

#[test]
fn a_file_with_a_mistake_is_not_touched() {
    let before = "[default]\nk = 1\nk = 2\n";
    let mut edited = document(before);
    assert!(matches!(edited.set(&profile("b"), "k", "v"), Err(EditError::Mistake(_))));
    assert!(matches!(edited.remove(&profile("b"), "k"), Err(EditError::Mistake(_))));
    assert!(matches!(edited.remove_section(&profile("b")), Err(EditError::Mistake(_))));
    assert_eq!(text(&edited), before);
}

/// A file from lines of all kinds, whatever comes out.
fn any_file() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[default]",
        "[profile a]",
        "[profile  b]",
        "[sso-session s]",
        "[DEFAULT]",
        "  [profile c]",
        "k = 1",
        "K2: 2 # c",
        "s3 =",
        "  x = 1",
        "\ty = 2",
        "  more",
        "# c",
        "; c",
        "",
        "   ",
        "other = 3",
        "  k = 4",
    ]);
    let ending = prop::sample::select(vec!["\n", "\n", "\r\n"]);
    let lines = prop::collection::vec((line, ending), 0..14);
    (lines, any::<bool>()).prop_map(|(lines, cut)| {
        let text: String = lines.iter().flat_map(|(line, ending)| [*line, *ending]).collect();
        if cut { text.trim_end_matches(['\r', '\n']).to_owned() } else { text }
    })
}

/// The bytes of each section but one, in order, from its header to its last setting.
fn chunks(document: &Document, but: &SectionName) -> Vec<String> {
    let all = text(document);
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let sections = document.sections().unwrap();
    let name_at = |line: usize| match lines[line].trim_end() {
        "[DEFAULT]" => Some("DEFAULT"),
        _ => sections.iter().find(|section| section.origin.line == line + 1).map(|section| section.name.as_str()),
    };
    let starts: Vec<usize> = (0..lines.len()).filter(|line| name_at(*line).is_some()).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let others = starts.iter().zip(ends).filter(|(start, _)| !means(but, name_at(**start).unwrap()));
    let is_setting = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with(['#', ';']);
    let last = |start: usize, end: usize| start + 1 + lines[start..end].iter().rposition(is_setting).unwrap();
    others.map(|(start, end)| lines[*start..last(*start, end)].concat().trim_end().to_owned()).collect()
}

fn means(section: &SectionName, header: &str) -> bool {
    document(&format!("[{header}]\n")).remove_section(section).unwrap()
}

fn said(document: &Document, name: &str, key: &str) -> Option<String> {
    let config = bowline_awsfiles::Config::read(Some(document), None).unwrap();
    config.profile(name).ok().and_then(|profile| profile.text(key).map(ToOwned::to_owned))
}

proptest! {
    // Three files of four have a mistake and are passed over.
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_leaves_every_other_section_byte_identical(
        before in any_file(),
        name in prop::sample::select(vec!["default", "a", "b", "new one"]),
        key in prop::sample::select(vec!["k", "k2", "s3", "fresh"]),
        what in 0..4,
    ) {
        let original = document(&before);
        prop_assume!(original.sections().is_ok());
        let mut edited = original.clone();
        let section = profile(name);
        let result = match what {
            0 => edited.set(&section, key, "NEW").map(|()| true),
            1 => edited.set_nested(&section, key, "x", "NEW").map(|()| true),
            2 => edited.remove(&section, key),
            _ => edited.remove_section(&section),
        };
        if result != Ok(true) {
            prop_assert_eq!(text(&edited), before);
            return Ok(());
        }
        prop_assert_eq!(chunks(&edited, &section), chunks(&original, &section));
        match what {
            0 => prop_assert_eq!(said(&edited, name, key), Some("NEW".to_owned())),
            3 => prop_assert_eq!(said(&edited, name, key), None),
            _ => {}
        }
    }
}
