//! The VPN's act: a user is added through the API, and its WireGuard client, in this process, reads an artifact through
//! the tunnel. No TUN device, no root: not here and not at the server.

use std::{net::SocketAddr, time::Duration};

use bowline_base::{Fault, Secret, wire::Limits};
use bowline_tunnel::{visitor::Visitor, wg_conf::Conf};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;

use super::{failed, repository::Artifact, scene::Scene};
use crate::world::World;

const TRAVELLER: &str = "traveller";
const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST: usize = 1 << 20;

/// `[vpn]`, as the demo's `bowline.toml` would have it. Users may reach this machine, which the demo's repository is on.
pub(super) fn section(
    listen: SocketAddr,
    api: SocketAddr,
    master_key: &std::path::Path,
    store: &std::path::Path,
) -> String {
    format!(
        "[vpn]\nlisten = \"{listen}\"\napi = \"{api}\"\nendpoint = \"{listen}\"\nstore = \"file:{}\"\n\
         master-key = {{ file = \"{}\" }}\negress-allow = [\"127.0.0.1/32\"]\nno-dns = true\n",
        store.display(),
        master_key.display()
    )
}

pub(super) async fn act(scene: &Scene, api: SocketAddr, master: &Secret) -> Result<String, Fault> {
    let world = scene.world()?;
    ask(&world, api, master, Method::POST, "/users", &format!("{{\"client_id\":\"{TRAVELLER}\"}}")).await?;
    let conf = ask(&world, api, master, Method::GET, &format!("/users/{TRAVELLER}/config"), "").await?;
    let conf = Conf::parse(&conf).map_err(|error| failed(error.to_string()))?;
    let own = conf.interface.addresses.first().map(|one| one.address.to_string()).unwrap_or_default();
    let (repository, entropy) = (scene.proxy, world.wire.entropy());
    let key = Artifact::jar_key(super::load::WARM.0, super::load::WARM.1);
    let request = format!("GET /{key} HTTP/1.1\r\nhost: {repository}\r\nconnection: close\r\n\r\n");
    let visit = move || Visitor::new(&conf, entropy)?.exchange(repository, request.as_bytes(), LONGEST, PATIENCE);
    let visited = tokio::task::spawn_blocking(visit).await.map_err(|error| failed(error.to_string()))?;
    let answer = visited.map_err(|error| failed(error.to_string()))?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|end| &answer[end + 4..]);
    let published = Artifact::new(super::load::WARM.0, super::load::WARM.1);
    let wanted = published.files.iter().find(|(name, _)| *name == key).map(|(_, bytes)| bytes.as_slice());
    if !answer.starts_with(b"HTTP/1.1 200 ") || body.is_none() || body != wanted {
        return Err(failed(format!("{} bytes came through the tunnel that are not the artifact", answer.len())));
    }
    Ok(format!(
        "user `{TRAVELLER}` was added and read {} bytes from the repository through the tunnel, as {own}: no TUN device, no root",
        body.unwrap_or_default().len()
    ))
}

async fn ask(
    world: &World,
    api: SocketAddr,
    master: &Secret,
    method: Method,
    path: &str,
    body: &str,
) -> Result<Secret, Fault> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{api}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", master.expose()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_owned()))
        .map_err(|error| failed(error.to_string()))?;
    let response = world.wire.send(request, Limits::default()).await.map_err(|error| failed(error.to_string()))?;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
    if !head.status.is_success() {
        return Err(failed(format!("the VPN's API answers {} to {path}", head.status)));
    }
    Ok(Secret::new(String::from_utf8_lossy(&bytes)))
}
