//! Pages that are made from the program: what they say is what it does.

use bowline_base::Kind;

use crate::harness::World;

#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    let world = World::new("reference", |_| {});
    let said = world.run(&["man", "--markdown"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let page = include_str!("../docs/reference/commands.md");
    let differing = said.stdout.lines().zip(page.lines()).find(|(said, written)| said != written);
    assert_eq!(differing, None, "write it anew: cargo xtask bless");
    assert_eq!(said.stdout.len(), page.len(), "write it anew: cargo xtask bless");
}

#[test]
fn the_reference_of_exit_codes_has_every_kind_of_end() {
    let page = include_str!("../docs/reference/exit-codes.md");
    let codes: Vec<u8> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")?.0.parse().ok()).collect();
    let kinds = [Kind::Config, Kind::Refused, Kind::Unreachable, Kind::LoginRequired, Kind::Interrupted, Kind::Bug];
    let mut ends: Vec<u8> = kinds.map(Kind::exit_code).into_iter().chain([0, 3]).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(codes, ends);
}
