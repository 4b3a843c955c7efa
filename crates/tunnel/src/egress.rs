//! Who may be reached through the tunnel: one policy object, asked with the address that is dialled.

/// Which destinations are let through.
#[derive(Clone, Debug, Default)]
pub struct Policy {}
