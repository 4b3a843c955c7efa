//! Files of wg(8): read or refused, no secret in what is said of them, and what was read is written and read again.

use bowline_base::Secret;
use bowline_tunnel::wg_conf::Conf;

/// Takes `bytes` for a file.
pub fn look(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Conf::parse(&Secret::new(text.as_ref())) {
        Ok(conf) => {
            let again = Conf::parse(&conf.write()).expect("we wrote it");
            assert_eq!(again, Conf { ignored: Vec::new(), ..conf });
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!(error.0.iter().all(|mistake| (1..=lines).contains(&mistake.line)));
            assert!(!error.0.is_empty());
        }
    }
}
