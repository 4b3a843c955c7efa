// The status page: asks /status.json every two seconds and shows what it says. It keeps nothing and changes nothing.
"use strict";

const EVERY = 2000;
const at = (id) => document.getElementById(id);
const shown = new Map();
let status = null;
let heard = 0;
// Between this clock and that of the machine.
let skew = 0;

function make(tag, words = {}, ...children) {
  const node = Object.assign(document.createElement(tag), words);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  for (; bytes >= 1024 && step < units.length - 1; step += 1) bytes /= 1024;
  return `${step ? bytes.toFixed(1) : bytes} ${units[step]}`;
}

function long(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

const now = () => Date.now() + skew;

// A time that is counted down or up by `count`, without its surroundings being made anew.
function clock(text, time, kind) {
  return make("span", { className: "faint time" }, `${text} `, make("time", { dateTime: time, className: `count ${kind}` }));
}

function count() {
  for (const node of document.querySelectorAll("time.count")) {
    const left = (Date.parse(node.dateTime) - now()) / 1000;
    const words = node.classList.contains("ago") ? `${long(-left)} ago` : left > 0 ? `in ${long(left)}` : "now";
    if (node.textContent !== words) node.textContent = words;
  }
}

// Makes a part anew only when it says something else: whoever reads or selects in it is not disturbed.
function show(id, facts, ...children) {
  const text = JSON.stringify(facts);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  at(id).replaceChildren(...children.map((child) => child()).flat());
}

function fix(text) {
  return text ? make("div", {}, "fix: ", make("code", { textContent: text })) : null;
}

const TONES = { ok: "good", degraded: "warn", failed: "bad", fresh: "good", "signed-in": "good", stale: "warn", "login-needed": "bad", failing: "bad" };

function credential(line) {
  const word = line.state.replace("-", " ");
  return make(
    "li",
    { className: "card" },
    make("div", { className: "row" }, make("strong", { className: "grow", textContent: line.name }), make("span", { className: TONES[line.state] || "faint", textContent: word })),
    make("div", { className: "faint", textContent: [line.kind, line.source].filter(Boolean).join(" · ") }),
    make("div", { className: "row" }, line.expires ? clock("ends", line.expires, "until") : null, line.next_try ? clock("renewed", line.next_try, "until") : null),
    line.failure ? make("div", { className: "bad", textContent: line.failure }) : null,
    fix(line.command),
  );
}

// Answers that needed nobody else, of all that could have.
function hits(requests) {
  const sum = (names) => names.reduce((all, name) => all + (requests[name] || 0), 0);
  const good = sum(["hit", "negative", "revalidated", "stale", "joined"]);
  const all = good + sum(["miss", "missing", "pass", "listing", "failed"]);
  return { good, all, failed: requests.failed || 0, ratio: all ? good / all : null };
}

function repository(one) {
  const { good, all, failed, ratio } = hits(one.requests);
  const words = ratio === null ? "nothing asked yet" : `${(ratio * 100).toFixed(1)} %`;
  return make(
    "div",
    { className: "card" },
    make("div", { className: "row" }, make("strong", { className: "grow", textContent: one.path }), make("span", { className: "big", textContent: words })),
    ratio === null ? null : make("meter", { min: 0, max: 1, value: ratio, title: "share answered from the cache" }),
    make("div", { className: "faint", textContent: `${good.toLocaleString()} of ${all.toLocaleString()} from the cache; ${one.from.join(", ")}` }),
    failed ? make("div", { className: "bad", textContent: `${failed.toLocaleString()} failed` }) : null,
  );
}

function artifacts(job) {
  const { bytes, files, fills } = job.cache || { bytes: 0, files: 0, fills: 0 };
  const place = (job.listen || []).join(", ");
  return [
    make("p", { className: "faint", textContent: `${place}: ${size(bytes)} in ${files.toLocaleString()} files, ${fills} fills under way` }),
    ...(job.repositories || []).map(repository),
  ];
}

function table(titles, rows) {
  const head = make("tr", {}, ...titles.map((title) => make("th", { scope: "col", textContent: title })));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function tunnel(one) {
  const words = one.up ? "up" : "down";
  return make("div", {}, make("span", { className: one.up ? "good" : "bad", textContent: words }), ` ${one.address || ""} `, one.since ? clock("", one.since, "ago") : null);
}

function gateway(job) {
  const place = job.address ? `${job.address}` : "address not known yet";
  const row = (one) =>
    make("tr", {}, make("td", {}, make("strong", { textContent: one.id })), make("td", { textContent: `${one.state}${one.address ? `, at ${one.address}` : ""}` }), make("td", {}, ...(one.tunnels || []).map(tunnel)), make("td", { textContent: one.verdict || "" }));
  return [
    make("p", {}, make("span", { className: "big", textContent: place }), " ", job.address_since ? clock("changed", job.address_since, "ago") : null),
    job.change ? make("p", { className: "warn", textContent: `moving from ${job.change.from || "nowhere"} to ${job.change.to}` }) : null,
    (job.connections || []).length ? table(["Connection", "State", "Tunnels", "Stands"], job.connections.map(row)) : make("p", { className: "faint", textContent: "No VPN connection is looked after." }),
  ].filter(Boolean);
}

function peer(one) {
  const word = one.connected ? "connected" : one.inactive || "away";
  return make(
    "tr",
    {},
    make("td", {}, make("strong", { textContent: one.user || one.public_key })),
    make("td", { className: one.connected ? "good" : "faint", textContent: word }),
    make("td", {}, one.last_handshake ? clock("heard", one.last_handshake, "ago") : make("span", { className: "faint", textContent: "never heard" })),
    make("td", { textContent: `${size(one.received || 0)} up, ${size(one.sent || 0)} down` }),
  );
}

function vpn(job) {
  const users = job.users ?? (job.peers || []).length;
  return [
    make("p", {}, make("span", { className: "big", textContent: `${job.connected ?? 0} of ${users}` }), " connected ", make("span", { className: "faint", textContent: (job.listening || []).join(", ") })),
    job.page ? make("p", {}, make("a", { href: job.page, textContent: "Users, invitations and QR codes" })) : null,
    (job.peers || []).length ? table(["User", "State", "Last heard", "Traffic"], job.peers.map(peer)) : null,
  ].filter(Boolean);
}

function wrong(check) {
  return make(
    "li",
    { className: "card" },
    make("div", { className: "row" }, make("strong", { className: "grow", textContent: check.id }), make("span", { className: TONES[check.verdict], textContent: check.verdict })),
    make("div", { textContent: check.why }),
    fix(check.fix),
  );
}

function job(name, draw) {
  const facts = status.jobs[name];
  at(name).hidden = !facts;
  if (facts) show(`${name}-body`, facts, () => draw(facts));
}

function paint() {
  const bad = status.checks.filter((check) => check.verdict !== "ok");
  const words = { ok: "everything works", degraded: "works, but not as it should", failed: "something does not work" };
  at("state").textContent = words[status.state] || status.state;
  at("state").className = TONES[status.state] || "";
  document.title = `Bowline: ${status.state}`;
  at("program").textContent = `bowline ${status.program}`;
  at("wrong").hidden = bad.length === 0;
  show("wrong-list", bad, () => bad.map(wrong));
  const lines = status.credentials || [];
  show("credentials", lines, () => (lines.length ? lines.map(credential) : make("li", { className: "faint", textContent: "Nothing was asked for yet." })));
  job("artifacts", artifacts);
  job("gateway", gateway);
  job("vpn", vpn);
  const last = status.last_trouble;
  at("last").hidden = !last;
  if (last) show("last-body", last, () => make("div", { className: "card" }, make("div", { className: "row" }, make("span", { className: `grow ${last.level === "error" ? "bad" : "warn"}`, textContent: last.what }), clock("", last.at, "ago")), fix(last.fix)));
  show("checks", status.checks, () => status.checks.map((check) => make("li", {}, make("span", { className: TONES[check.verdict], textContent: `${check.verdict} ` }), make("strong", { textContent: `${check.id} ` }), make("span", { textContent: check.why }))));
}

async function ask() {
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    status = await answer.json();
    heard = Date.now();
    skew = Date.parse(status.at) - heard;
    // Within a second nobody can tell, and a clock that jumps is worse.
    if (Math.abs(skew) < 1500) skew = 0;
    paint();
    at("when").textContent = status.since ? `up ${long((now() - Date.parse(status.since)) / 1000)}` : "";
  } catch {
    at("state").textContent = "the daemon does not answer";
    at("state").className = "bad";
    at("when").textContent = heard ? `last heard ${long((Date.now() - heard) / 1000)} ago` : "";
    document.title = "Bowline: no answer";
  }
  count();
}

setInterval(count, 500);
setInterval(() => document.hidden || ask(), EVERY);
document.addEventListener("visibilitychange", () => document.hidden || ask());
ask();
