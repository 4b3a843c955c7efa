//! One datagram there, one back. Knows no protocol: whoever asks says what counts as an answer.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::net::UdpSocket;

/// More than any answer that fits into one frame.
const LONGEST: usize = 1500;
/// A datagram may get lost, and nobody says so.
const AGAIN_AFTER: Duration = Duration::from_millis(1500);

/// Sends `question` to `to` from a port that the system picks, and again whenever nothing came for a while; gives what
/// `accept` makes of the first datagram from there that it does not pass over. Goes on until it is dropped: the limit is
/// the caller's.
///
/// # Errors
/// There is no way there, or it was heard that nobody listens.
pub async fn ask<T>(to: SocketAddr, question: &[u8], accept: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // From now on the kernel passes over what others send.
    socket.connect(to).await?;
    loop {
        socket.send(question).await?;
        if let Ok(answer) = tokio::time::timeout(AGAIN_AFTER, accepted(&socket, &accept)).await {
            return answer;
        }
    }
}

async fn accepted<T>(socket: &UdpSocket, accept: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
    let mut bytes = [0; LONGEST];
    loop {
        let length = socket.recv(&mut bytes).await?;
        if let Some(answer) = accept(&bytes[..length]) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_question_is_asked_again_and_what_is_no_answer_is_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let serve = async {
            let mut bytes = [0; LONGEST];
            server.recv_from(&mut bytes).await.unwrap();
            let (length, from) = server.recv_from(&mut bytes).await.unwrap();
            for answer in [b"no", &bytes[..length]] {
                server.send_to(answer, from).await.unwrap();
            }
        };
        let asked = ask(to, b"me", |answer| (answer == b"me").then_some(7));
        let (answer, ()) = tokio::join!(asked, serve);
        assert_eq!(answer.unwrap(), 7);
    }

    #[tokio::test]
    async fn where_nobody_listens_it_is_heard() {
        let to = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(ask(to, b"me", |_| Some(())).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
