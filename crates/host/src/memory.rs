//! Where large blocks of memory come from, and what the start of a program leaves behind.

/// Blocks of at least this size.
const LARGE: i32 = 128 << 10;

/// Has large blocks come from the system, untouched, for as long as the process lives: a buffer that is never written to
/// costs nothing then, and one that is freed is given back. To be called once, by whoever holds many such buffers.
pub fn large_blocks_from_the_system() {
    crate::sys::large_blocks_from(LARGE);
}

/// Hands back what only the start needed of the program's and its libraries' files: command line, configuration, first
/// handshakes. A program that then waits for weeks keeps what it waits with. To be called once everything runs.
pub fn forget_the_start() {
    #[cfg(target_os = "linux")]
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        maps.lines().filter_map(as_in_the_file).for_each(crate::sys::hand_back);
    }
}

/// The range of a line of `/proc/PID/maps`, if it is a file's and nobody can have changed it: its code, and what stands
/// before the code. What is readable alone behind it was written to when the program was linked together.
#[cfg(target_os = "linux")]
fn as_in_the_file(line: &str) -> Option<std::ops::Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_untouched = match (words.next()?, words.next()?) {
        ("r-xp", _) => true,
        (rights, offset) => rights == "r--p" && offset.bytes().all(|digit| digit == b'0'),
    };
    let is_file = words.nth(2)?.starts_with('/');
    let number = |text| usize::from_str_radix(text, 16).ok();
    (is_untouched && is_file).then_some(number(start)?..number(end)?)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[cfg(test)]
mod tests {
    use super::*;

    fn resident_pages() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn blocks_that_nobody_writes_to_cost_nothing_even_after_others_were_freed() {
        large_blocks_from_the_system();
        drop(vec![1_u8; 1 << 20]);
        let before = resident_pages();
        let blocks: Vec<Vec<u8>> = (0..100).map(|_| vec![0; 1 << 20]).collect();
        let after = resident_pages();
        assert!(after < before + 2000, "{} pages for {} untouched blocks", after - before, blocks.len());
    }

    #[test]
    fn only_what_is_as_in_its_file_is_handed_back() {
        let maps = "5500-5600 r--p 00000000 fe:00 1 /usr/bin/bowline\n\
                    5600-6000 r-xp 00100000 fe:00 1 /usr/bin/bowline\n\
                    6000-6100 r--p 00500000 fe:00 1 /usr/bin/bowline\n\
                    6100-6200 rw-p 00600000 fe:00 1 /usr/bin/bowline\n\
                    7000-7100 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6\n\
                    7100-7200 r-xp 00000000 00:00 0 [vdso]\n\
                    7200-7300 rw-p 00000000 00:00 0\n\
                    7300-7400 r--p 00000000 00:00 0\n";
        let expected = [0x5500..0x5600, 0x5600..0x6000, 0x7000..0x7100];
        assert_eq!(maps.lines().filter_map(as_in_the_file).collect::<Vec<_>>(), expected);
    }
}
