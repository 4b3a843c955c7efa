//! `bowline vpn serve` between a real `wireguard-go` and its targets, in network namespaces of their own.

mod attacks;
mod egress;
mod endings;
mod limits;
mod mtu;
mod peers;
mod punching;
mod stage;
mod traffic;
