//! Where large blocks of memory come from.

/// Blocks of at least this size.
const LARGE: i32 = 128 << 10;

/// Has large blocks come from the system, untouched, for as long as the process lives: a buffer that is never written to
/// costs nothing then, and one that is freed is given back. To be called once, by whoever holds many such buffers.
pub fn large_blocks_from_the_system() {
    crate::sys::large_blocks_from(LARGE);
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
}
