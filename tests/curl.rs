//! curl against the proxy: what is cut off is resumed, parts are the right parts, and old ways of HTTP still work.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use bowline_base::atomic;
use bowline_fakeaws::{Bucket, Effect, Fault};
use bowline_host::clock;

use crate::harness::{Daemon, Finished, World, fetch, skip, until};

const CURL: &str = "/usr/bin/curl";
const LENGTH: usize = 300_000;
const JAR: &str = "/g/a/1.0/a-1.0.jar";

struct Stand {
    world: World,
    daemon: Daemon,
}

/// Bytes of which no two stretches are alike.
fn jar() -> Vec<u8> {
    (0..LENGTH / 4).flat_map(|n| u32::try_from(n * 2_654_435 % 0xffff_fff1).unwrap().to_be_bytes()).collect()
}

impl Stand {
    /// `None`, said visibly, where there is no curl.
    fn new(name: &str) -> Option<Self> {
        if !Path::new(CURL).exists() {
            return None;
        }
        let world = World::new(name, |_| {});
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        for key in ["g/a/1.0/a-1.0.jar", "g/b/1.0/b-1.0.jar"] {
            world.cloud().put_object(clock::now(), "maven", key, jar());
        }
        world.sign_in();
        let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
        Some(Self { world, daemon })
    }

    /// curl for `path`, its body in `got`; what it prints is the status.
    #[track_caller]
    fn curl(&self, arguments: &[&str], path: &str) -> Finished {
        let mut curl = self.world.foreign(CURL);
        curl.args(["-q", "-sS", "-m", "15", "-o", "got", "-D", "head", "-w", "%{http_code}"]).args(arguments);
        curl.arg(format!("http://{}{path}", self.daemon.artifacts));
        self.world.run_foreign("curl", &mut curl)
    }

    /// The same; the status and the bytes.
    #[track_caller]
    fn ask(&self, arguments: &[&str], path: &str) -> (String, Vec<u8>) {
        fs::remove_file(self.world.path("got")).ok();
        let finished = self.curl(arguments, path);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
        (finished.stdout, self.got())
    }

    fn got(&self) -> Vec<u8> {
        fs::read(self.world.path("got")).unwrap_or_default()
    }

    /// A header of the last answer, or nothing.
    fn header(&self, name: &str) -> String {
        let head = fs::read_to_string(self.world.path("head")).unwrap();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or_else(String::new, |(_, value)| value.to_owned())
    }

    /// The headers that say what the file is, in their order.
    fn facts(&self) -> Vec<String> {
        ["content-length", "content-type", "etag", "last-modified", "accept-ranges", "x-checksum-sha1"]
            .map(|name| format!("{name}: {}", self.header(name)))
            .to_vec()
    }

    /// Asks until the answer comes from the cache: the bytes are all there a moment before the copy is.
    #[track_caller]
    fn kept(&self, path: &str) {
        until(Duration::from_secs(10), "the file is in the cache", || {
            self.ask(&[], path);
            self.header("x-bowline-cache") == "hit"
        });
    }

    /// What a tool of the system says of `got`.
    fn summed(&self, tool: &str) -> String {
        let mut command = self.world.foreign(tool);
        command.arg("got");
        let finished = self.world.run_foreign(tool, &mut command);
        finished.stdout.split_ascii_whitespace().next().unwrap().to_owned()
    }

    /// Requests as bytes, answers as bytes, until the server closes.
    fn raw(&self, requests: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.daemon.artifacts).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

#[test]
fn curl_resumes_what_was_cut_off_cold_and_cached() {
    let Some(stand) = Stand::new("curl-resume") else { skip!("curl: no {CURL}") };
    // S3 breaks off, and again at each of the proxy's own resumptions: the client has a piece and knows it.
    let cut = |bytes, times| Fault::new("s3.GetObject", Effect::Truncate(bytes)).object("a-1.0.jar").times(times);
    stand.world.cloud().fault(cut(100_000, 1));
    stand.world.cloud().fault(cut(0, 3));
    let broken = stand.curl(&[], JAR);
    let piece = stand.got();
    assert!(matches!(broken.code, Some(18 | 56)), "a cut is an error to curl: {broken:?}");
    assert!(!piece.is_empty() && piece.len() < LENGTH && jar().starts_with(&piece), "{} bytes", piece.len());
    for from in ["cold", "cached"] {
        atomic::write(&stand.world.path("got"), &piece, 0o644).unwrap();
        let resumed = stand.curl(&["-C", "-"], JAR);
        assert_eq!((resumed.code, resumed.stdout.as_str()), (Some(0), "206"), "{from}: {}", resumed.stderr);
        let range = format!("bytes {}-{}/{LENGTH}", piece.len(), LENGTH - 1);
        assert_eq!(stand.header("content-range"), range, "{from}");
        assert!(stand.got() == jar(), "{from}: the whole is the file");
    }
    let nothing_left = stand.curl(&["-C", "-"], JAR);
    assert_eq!((nothing_left.stdout.as_str(), stand.header("content-range")), ("416", format!("bytes */{LENGTH}")));
    assert!(stand.got() == jar(), "what was whole stays whole");
}

#[test]
fn curl_gets_the_parts_that_it_asks_for_and_never_a_part_of_another_file() {
    let Some(stand) = Stand::new("curl-parts") else { skip!("curl: no {CURL}") };
    let whole = jar();
    // The first answer is cold: a part of a file that is on its way.
    for (range, part) in [("100000-100099", &whole[100_000..100_100]), ("-10", &whole[LENGTH - 10..])] {
        assert_eq!(stand.ask(&["-r", range], JAR), ("206".to_owned(), part.to_vec()), "{range}");
    }
    assert_eq!(stand.ask(&["-r", "299990-"], JAR).1, &whole[LENGTH - 10..]);
    assert_eq!(stand.ask(&["-r", &format!("{LENGTH}-")], JAR).0, "416");
    assert!(stand.ask(&[], JAR) == ("200".to_owned(), whole.clone()));
    let (etag, modified) = (stand.header("etag"), stand.header("last-modified"));
    for (validator, status) in [(etag.as_str(), "206"), (&modified, "206"), ("\"another\"", "200")] {
        let (told, body) = stand.ask(&["-r", "7-8", "-H", &format!("If-Range: {validator}")], JAR);
        let expected = if status == "206" { &whole[7..9] } else { &whole[..] };
        assert!(told == status && body == expected, "{validator}: {told}, {} bytes", body.len());
    }
    assert_eq!(stand.ask(&["-H", &format!("If-None-Match: {etag}")], JAR), ("304".to_owned(), Vec::new()));
    assert_eq!(stand.ask(&["-z", &modified], JAR).0, "304");
    assert_eq!(stand.ask(&["-z", "Sun, 22 Nov 2015 02:02:02 GMT"], JAR).0, "200");
    let parts = stand.ask(&["-r", "0-1,9-10"], JAR);
    assert!(parts.0 == "206" || parts.1 == whole, "several ranges are answered as such or with all");
}

#[test]
fn curl_sees_the_same_file_by_head_by_http_1_0_and_on_a_connection_that_closes() {
    let Some(stand) = Stand::new("curl-ways") else { skip!("curl: no {CURL}") };
    assert_eq!(stand.ask(&["-I"], JAR).0, "200");
    let cold = stand.header("content-length");
    assert!(stand.ask(&[], JAR).1 == jar());
    stand.ask(&[], JAR);
    stand.kept(JAR);
    let facts = stand.facts();
    for (kind, tool) in [("md5", "md5sum"), ("sha1", "sha1sum"), ("sha256", "sha256sum")] {
        assert_eq!(stand.header(&format!("x-checksum-{kind}")), stand.summed(tool), "{kind}");
    }
    assert_eq!(cold, LENGTH.to_string());
    let ways: [&[&str]; 4] = [&["-I"], &["--http1.0"], &["-H", "Connection: close"], &["--compressed"]];
    for way in ways {
        let (status, body) = stand.ask(way, JAR);
        assert_eq!((status.as_str(), stand.facts()), ("200", facts.clone()), "{way:?}");
        assert!(way == ["-I"] || body == jar(), "{way:?}");
        assert_eq!(stand.header("content-encoding"), "", "{way:?}: a jar is never packed again");
    }
    assert_eq!(stand.ask(&["-I"], "/g/a/1.0/none.jar").0, "404");
    assert_eq!(stand.ask(&["-X", "DELETE"], JAR).0, "405");
}

#[test]
fn requests_in_one_go_are_answered_in_their_order() {
    let Some(stand) = Stand::new("curl-pipeline") else { skip!("curl: no {CURL}") };
    let host = stand.daemon.artifacts;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
    let part = get(JAR, "range: bytes=5-9\r\n");
    let other = get("/g/b/1.0/b-1.0.jar", "");
    let requests = [part.clone(), get("/none.jar", ""), other, part, get(JAR, "connection: close\r\n")].concat();
    let answer = stand.raw(&requests);
    let text = String::from_utf8_lossy(&answer);
    let statuses: Vec<&str> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["206", "404", "200", "206", "200"]);
    assert!(answer.ends_with(&jar()), "the last answer is whole and ends the connection");
    // HTTP/1.0 without a Host header: the oldest clients.
    let old = stand.raw(&format!("GET {JAR} HTTP/1.0\r\n\r\n"));
    assert!(old.starts_with(b"HTTP/1.0 200") || old.starts_with(b"HTTP/1.1 200"));
    assert!(old.ends_with(&jar()));
    assert_eq!(fetch(stand.daemon.artifacts, JAR).unwrap().status, 200);
}
