//! Where large blocks of memory come from, and what the start of a program leaves behind.

/// Blocks of at least this size.
const LARGE: i32 = 128 << 10;

/// Has large blocks come from the system, untouched, for as long as the process lives: a buffer that is never written to
/// costs nothing then, and one that is freed is given back. To be called once, by whoever holds many such buffers.
pub fn large_blocks_from_the_system() {
    crate::sys::large_blocks_from(LARGE);
}

/// Hands back the code that only the start needed: command line, configuration, first handshakes. A program that then
/// waits for weeks keeps what it waits with. To be called once everything runs.
pub fn forget_the_start() {
    #[cfg(target_os = "linux")]
    {
        let read =
            || Some((std::fs::read_to_string("/proc/self/maps").ok()?, std::fs::read_link("/proc/self/exe").ok()?));
        if let Some((maps, program)) = read() {
            code(&maps, &program.to_string_lossy()).for_each(crate::sys::hand_back_code);
        }
    }
}

/// Where the code of `program` lies, by the lines of `/proc/PID/maps`: what can be run and not written.
#[cfg(target_os = "linux")]
fn code(maps: &str, program: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let ours = maps.lines().filter(move |line| line.ends_with(program));
    ours.filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        rest.starts_with("r-xp ").then_some(())?;
        Some(number(start)?..number(end)?)
    })
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
    fn only_code_that_nobody_can_write_to_is_handed_back() {
        let maps = "5500-5600 r--p 00000000 fe:00 1 /usr/bin/bowline\n\
                    5600-6000 r-xp 00100000 fe:00 1 /usr/bin/bowline\n\
                    6000-6100 rw-p 00500000 fe:00 1 /usr/bin/bowline\n\
                    7000-7100 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6\n\
                    7200-7300 rw-p 00000000 00:00 0\n";
        assert_eq!(code(maps, "/usr/bin/bowline").collect::<Vec<_>>(), [0x5600..0x6000]);
    }
}
