//! Whatever is done to a log is found.

use bowline_base::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    chain::{Head, Line},
    event::{Event, Record},
    key::SigningKey,
};

type Lines = Vec<String>;

fn at() -> Timestamp {
    "2026-11-22T02:00:00Z".parse().unwrap()
}

/// Two files; records with a checkpoint after every third; the last line is a checkpoint.
fn log() -> [Lines; 2] {
    let key = SigningKey::of(1);
    let mut head = Head::first("ab".into());
    let mut files = [Lines::new(), Lines::new()];
    for file in &mut files {
        let mut add = |head: &mut Head, line: Line| {
            *head = head.behind(&line);
            file.push(line.text);
        };
        let begin = head.begin(at(), key.public());
        add(&mut head, begin);
        for number in 0..6 {
            let record = head.line(at(), Record::about(Event::Issued, format!("profile-{number}")).fields());
            add(&mut head, record);
            if number % 3 == 2 {
                let checkpoint = head.checkpoint(at(), &key);
                add(&mut head, checkpoint);
            }
        }
    }
    files
}

fn bytes(files: &[Lines]) -> Vec<(String, Vec<u8>)> {
    let text = |lines: &Lines| lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
    files.iter().enumerate().map(|(index, lines)| (format!("file-{index}"), text(lines))).collect()
}

/// The same, over bytes.
fn verify(files: &[(String, Vec<u8>)], against: &Against) -> Verdict {
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    super::verify(&names, |index| Ok(&files[index].1[..]), against).unwrap()
}

fn judged(files: &[(String, Vec<u8>)]) -> Verdict {
    verify(files, &Against::default())
}

/// The place and the flaw of what is wrong with these lines.
fn flaw(files: &[Lines]) -> (String, usize, Flaw) {
    let bad = judged(&bytes(files)).bad.expect("something is wrong with it");
    (bad.file, bad.line, bad.flaw)
}

#[test]
fn an_untouched_log_is_good_and_says_how_far_it_is_signed() {
    let verdict = judged(&bytes(&log()));
    assert_eq!((verdict.lines, verdict.first, verdict.last), (18, Some(1), Some(18)));
    assert_eq!((verdict.signed_to, verdict.bad, verdict.torn), (Some(18), None, None));
    let later_file_alone = judged(&bytes(&log()[1..]));
    assert_eq!((later_file_alone.first, later_file_alone.bad), (Some(10), None));
}

#[test]
fn what_was_done_is_named_with_file_and_line() {
    let mut cut = log();
    cut[0].drain(2..4);
    assert_eq!(flaw(&cut), ("file-0".into(), 3, Flaw::Missing(3, 4)));
    let mut swapped = log();
    swapped[1].swap(2, 3);
    assert_eq!(flaw(&swapped), ("file-1".into(), 3, Flaw::OutOfOrder(12)));
    let mut inserted = log();
    let copy = inserted[0][1].clone();
    inserted[0].insert(5, copy);
    assert_eq!(flaw(&inserted), ("file-0".into(), 6, Flaw::Again(2)));
    let mut changed = log();
    changed[0][3] = changed[0][3].replace("profile-2", "profile-9");
    assert_eq!(flaw(&changed), ("file-0".into(), 4, Flaw::Altered));
    assert_eq!(flaw(&[log()[0][1..].to_vec()]), ("file-0".into(), 1, Flaw::NoBeginning));
    let [first, second] = log();
    assert_eq!(flaw(&[second, first]), ("file-1".into(), 1, Flaw::Again(1)));
}

/// Somebody without the key writes a line anew, and every hash after it.
#[test]
fn a_chain_that_was_computed_anew_fails_at_the_next_checkpoint() {
    let [mut lines, _] = log();
    let mut head = Head::first("ab".into());
    for (index, text) in lines.iter_mut().enumerate() {
        let mut fields = Parsed::read(text.as_bytes()).unwrap().fields;
        if index == 2 {
            fields.insert("profile".into(), "forged".into());
        }
        let line = head.line(at(), fields);
        head = head.behind(&line);
        *text = line.text;
    }
    assert_eq!(flaw(&[lines]), ("file-0".into(), 5, Flaw::BadSignature));
}

#[test]
fn a_log_signed_by_another_key_is_refused_where_the_key_is_known() {
    let good = Against { key: Some(SigningKey::of(1).public().clone()), checkpoint: None, whole: false };
    let other = Against { key: Some(SigningKey::of(2).public().clone()), checkpoint: None, whole: false };
    assert_eq!(verify(&bytes(&log()), &good).bad, None);
    assert_eq!(verify(&bytes(&log()), &other).bad.unwrap().flaw, Flaw::OtherKey);
}

#[test]
fn a_cut_tail_is_found_with_a_checkpoint_that_was_kept_elsewhere() {
    let [first, mut second] = log();
    let checkpoint = Checkpoint::last_in(second.last().unwrap());
    let against = Against { checkpoint, key: None, whole: false };
    assert_eq!(verify(&bytes(&[first.clone(), second.clone()]), &against).bad, None);
    for _ in 0..8 {
        second.pop();
        let files = bytes(&[first.clone(), second.clone()]);
        assert_eq!(judged(&files).bad, None, "alone the log cannot know");
        assert_eq!(verify(&files, &against).bad.unwrap().flaw, Flaw::TailCut(18));
    }
    let without_the_file = verify(&bytes(&[first]), &against).bad.unwrap();
    assert_eq!((without_the_file.line, without_the_file.flaw), (10, Flaw::TailCut(18)));
}

#[test]
fn a_torn_end_is_told_and_everything_before_it_is_good() {
    let mut files = bytes(&log());
    let length = files[1].1.len() - 10;
    files[1].1.truncate(length);
    let verdict = judged(&files);
    assert_eq!((verdict.lines, verdict.bad), (17, None));
    assert_eq!(verdict.torn.as_ref().map(|(file, _)| file.as_str()), Some("file-1"));
    files.swap(0, 1);
    files.truncate(1);
    files.push(bytes(&log())[1].clone());
    assert!(judged(&files).bad.is_some(), "only the last file may end so");
}

#[test]
fn a_line_without_end_is_named_and_not_read_to_its_end() {
    let mut files = bytes(&log());
    files[1].1.extend(vec![b'x'; 3 * lines::LONGEST]);
    let bad = judged(&files).bad.unwrap();
    assert_eq!((bad.line, bad.flaw), (10, Flaw::TooLong));
}

proptest! {
    #[test]
    fn any_flipped_bit_is_found(file in 0..2_usize, position: prop::sample::Index, bit in 0..8_u32) {
        let mut files = bytes(&log());
        let position = position.index(files[file].1.len());
        files[file].1[position] ^= 1 << bit;
        let verdict = judged(&files);
        prop_assert!(verdict.bad.is_some() || verdict.torn.is_some());
    }

    #[test]
    fn any_cut_run_of_bytes_before_the_last_line_is_found(from: prop::sample::Index, length in 1..2000_usize) {
        let mut files = bytes(&log());
        let last_line = log()[1].last().unwrap().len() + 1;
        let end = files[1].1.len() - last_line;
        let from = from.index(end);
        files[1].1.drain(from..(from + length).min(end));
        prop_assert!(judged(&files).bad.is_some());
    }

    #[test]
    fn any_two_swapped_lines_are_found(one in 0..18_usize, other in 0..18_usize) {
        prop_assume!(one != other);
        let mut all: Lines = log().concat();
        all.swap(one, other);
        let second = all.split_off(9);
        prop_assert!(judged(&bytes(&[all, second])).bad.is_some());
    }

    #[test]
    fn any_inserted_line_is_found(place in 0..18_usize, copied in 0..18_usize, forged: bool) {
        let mut all: Lines = log().concat();
        let mut line = all[copied].clone();
        if forged && place > 0 {
            // It has the right number, the right hashes, and follows the line before.
            let before = Parsed::read(all[place - 1].as_bytes()).unwrap();
            let head = Head { seq: before.seq + 1, hash: before.hash, log: "ab".into() };
            line = head.line(at(), Record::new(Event::Login).fields()).text;
        }
        all.insert(place, line);
        let second = all.split_off(if place < 9 { 10 } else { 9 });
        prop_assert!(judged(&bytes(&[all, second])).bad.is_some());
    }
}

/// Two files; the second says, and signs, that the first had its time.
fn log_with_an_end(last: u64) -> Lines {
    let key = SigningKey::of(1);
    let [first, mut second] = log();
    let end = Parsed::read(second.last().unwrap().as_bytes()).unwrap();
    let mut head = Head { seq: end.seq + 1, hash: end.hash, log: "ab".into() };
    let dropped = Record { lines: Some((1, last)), ..Record::new(Event::Dropped) };
    let record = head.line(at(), dropped.fields());
    head = head.behind(&record);
    second.extend([record.text, head.checkpoint(at(), &key).text]);
    assert_eq!(first.len(), 9);
    second
}

#[test]
fn a_beginning_is_missing_unless_a_signed_line_says_that_it_had_its_time() {
    let whole = Against { whole: true, ..Against::default() };
    let [first, second] = log();
    assert_eq!(verify(&bytes(&[first.clone(), second.clone()]), &whole).bad, None);
    let cut = verify(&bytes(std::slice::from_ref(&second)), &whole).bad.unwrap();
    assert_eq!((cut.file.as_str(), cut.line, cut.flaw), ("file-0", 1, Flaw::Missing(1, 9)));
    assert_eq!(judged(&bytes(&[second])).bad, None, "a part of a log is good as a part");

    let ended = log_with_an_end(9);
    let verdict = verify(&bytes(std::slice::from_ref(&ended)), &whole);
    assert_eq!((verdict.bad, verdict.first), (None, Some(10)));
    assert_eq!(verdict.gone, Some(Gone { first: 1, last: 9, said_by: 19, archived: false }));
    assert_eq!(verify(&bytes(&[first, ended.clone()]), &whole).bad, None, "it may still be there");
    let too_few = verify(&bytes(&[log_with_an_end(5)]), &whole).bad.unwrap();
    assert_eq!(too_few.flaw, Flaw::Missing(6, 9));
    let unsigned = verify(&bytes(&[ended[..ended.len() - 1].to_vec()]), &whole).bad.unwrap();
    assert_eq!(unsigned.flaw, Flaw::Missing(1, 9), "anybody can write a line; the key signs it");
}

#[test]
fn a_file_that_had_its_time_while_others_were_read_is_not_asked_for_again() {
    let home = tempfile::tempdir().unwrap();
    let [first, _] = log();
    let (gone, here) = (home.path().join("gone"), home.path().join("here"));
    bowline_base::atomic::write_private(&here, (first.join("\n") + "\n").as_bytes()).unwrap();
    let lists = std::cell::Cell::new(0);
    let list = || {
        lists.set(lists.get() + 1);
        Ok(if lists.get() == 1 { vec![gone.clone(), here.clone()] } else { vec![here.clone()] })
    };
    assert_eq!(verify_listed(list, &Against::default()).unwrap().lines, 9);
    let fault = verify_listed(|| Ok(vec![gone.clone()]), &Against::default()).unwrap_err();
    assert!(fault.message.contains("cannot read"), "{fault:?}");
}
