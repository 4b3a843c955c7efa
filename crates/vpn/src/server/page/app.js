// The operator's page: everything that it shows and does goes through the API with the master key, which stays in this tab.
"use strict";

const at = (id) => document.getElementById(id);
const GIB = 2 ** 30;
let key = sessionStorage.getItem("key") || "";
let users = [];
let heard = 0;
let timer = 0;

async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: `${answer.status} ${answer.statusText}` }));
  const error = new Error(problem.hint ? `${problem.detail} (${problem.hint})` : problem.detail);
  error.status = answer.status;
  throw error;
}

const read = async (path) => (await call("GET", path)).json();

function make(tag, words = {}, ...children) {
  const node = Object.assign(document.createElement(tag), words);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function say(text, bad = false) {
  at("state").textContent = text;
  at("state").className = bad ? "bad" : "";
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  for (; bytes >= 1024 && step < units.length - 1; step += 1) bytes /= 1024;
  return `${step ? bytes.toFixed(1) : bytes} ${units[step]}`;
}

function ago(time) {
  if (!time) return "never";
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString();
}

function button(text, act, kind = "plain") {
  const node = make("button", { type: "button", textContent: text, className: kind });
  node.addEventListener("click", () => attempt(act, node));
  return node;
}

async function attempt(act, node) {
  if (node) {
    node.disabled = true;
    say("");
  }
  try {
    await act();
  } catch (error) {
    if (error.status === 401) leave();
    say(error.message, true);
  } finally {
    if (node) node.disabled = false;
  }
}

function open(title, ...content) {
  at("title").textContent = title;
  at("content").replaceChildren(...content);
  at("paper").showModal();
}

function fact(name, value) {
  return make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }));
}

function row(user) {
  const active = user.status === "active";
  const state = user.connected ? "connected" : active ? "active" : user.reason || "inactive";
  const quota = user.quota_bytes === null ? "none" : size(user.quota_bytes);
  const path = `users/${encodeURIComponent(user.client_id)}`;
  const acts = make("p", { className: "acts" },
    button("QR code", () => code(user, path)),
    button(active ? "Disable" : "Enable", () => act("POST", `${path}/${active ? "disable" : "enable"}`)),
    button("New keys", () => rotate(user, path)),
    button("Remove", () => remove(user, path), "danger"));
  return make("li", { id: `user-${user.client_id}` },
    make("div", { className: "who" },
      make("strong", { textContent: user.client_id }),
      make("span", { textContent: state, className: active ? "good" : "bad" })),
    make("dl", {},
      fact("Last seen", ago(user.last_handshake)), fact("From", user.source || "–"),
      fact("Down", size(user.sent_bytes)), fact("Up", size(user.received_bytes)),
      fact("Quota", quota), fact("Ends", user.expires_at ? new Date(user.expires_at).toLocaleString() : "never"),
      fact("Address", user.address)),
    acts);
}

function invited(invitation) {
  const path = `invitations/${encodeURIComponent(invitation.client_id)}`;
  return make("li", {},
    make("strong", { textContent: invitation.client_id }),
    make("span", { textContent: ` until ${new Date(invitation.expires_at).toLocaleString()} ` }),
    button("Take back", () => act("DELETE", path)));
}

function show() {
  const wanted = at("search").value.trim().toLowerCase();
  const found = users.filter((user) => user.client_id.toLowerCase().includes(wanted));
  const held = document.activeElement && document.activeElement.closest("#users li");
  const place = held && [held.id, [...held.querySelectorAll("button")].indexOf(document.activeElement)];
  at("users").replaceChildren(...found.map(row));
  if (place && at(place[0])) at(place[0]).querySelectorAll("button")[place[1]]?.focus();
  at("nobody").hidden = users.length > 0;
  at("count").textContent = `${users.filter((user) => user.connected).length} of ${users.length} connected`;
}

async function refresh() {
  const [all, invitations, events, health] = await Promise.all([
    read("users?detail"), read("invitations"), read(`events?after=${heard}`),
    fetch("health").then((answer) => answer.json()),
  ]);
  users = all;
  show();
  at("invitations").replaceChildren(...invitations.map(invited));
  at("none").hidden = invitations.length > 0;
  for (const event of events) {
    heard = event.number;
    const parts = [new Date(event.at).toLocaleTimeString(), event.event, event.client_id, event.source, event.detail];
    at("events").prepend(make("li", { textContent: parts.filter(Boolean).join(" · ") }));
  }
  while (at("events").children.length > 200) at("events").lastChild.remove();
  const fine = health.status === "ok";
  if (!fine) say(`${health.status}: tunnel ${health.tunnel}, store ${health.store}`, true);
  else if (at("state").textContent.startsWith("degraded")) say("");
}

async function act(method, path, body) {
  const answer = await call(method, path, body);
  await refresh();
  return answer;
}

async function code(user, path) {
  const [image, conf] = await Promise.all([call("GET", `${path}/qr.svg`), call("GET", `${path}/config`)]);
  const drawing = URL.createObjectURL(new Blob([await image.text()], { type: "image/svg+xml" }));
  const file = URL.createObjectURL(new Blob([await conf.text()], { type: "text/plain" }));
  at("paper").addEventListener("close", () => [drawing, file].forEach(URL.revokeObjectURL), { once: true });
  open(user.client_id,
    make("p", { textContent: user.own_key ? "This user keeps its private key: put it into the file." : "Scan it with the WireGuard app." }),
    make("img", { src: drawing, alt: `QR code of ${user.client_id}'s configuration`, width: 320, height: 320 }),
    make("p", {}, make("a", { href: file, download: `${user.client_id}.conf`, textContent: "Save the file" })));
}

function once(title, words, value) {
  const field = make("input", { value, readOnly: true, id: "once" });
  field.setAttribute("aria-label", title);
  open(title, make("p", { textContent: words }), field,
    button("Copy", () => navigator.clipboard.writeText(value).then(() => say("Copied")), ""));
  field.select();
}

async function rotate(user, path) {
  if (!confirm(`Give ${user.client_id} new keys? The old ones open nothing any more.`)) return;
  const made = await (await act("POST", `${path}/rotate`, {})).json();
  once(`New API key of ${made.client_id}`, "It is shown once. The QR code is new as well.", made.api_key);
}

async function remove(user, path) {
  if (!confirm(`Remove ${user.client_id}? Its connections end at once.`)) return;
  await act("DELETE", path);
  say(`${user.client_id} is removed`);
}

async function add(event) {
  event.preventDefault();
  const body = { client_id: at("name").value.trim() };
  if (at("end").value) body.expires_at = new Date(at("end").value).toISOString();
  if (at("quota").value) body.quota_bytes = Math.round(Number(at("quota").value) * GIB);
  const invite = event.submitter.value === "invite";
  const made = await (await act("POST", invite ? "invitations" : "users", body)).json();
  at("add").reset();
  if (invite) once(`Link for ${made.client_id}`, "It works once and is shown once.", made.url);
  else once(`API key of ${made.client_id}`, "It is shown once.", made.api_key);
}

async function enter() {
  await refresh();
  sessionStorage.setItem("key", key);
  at("enter").hidden = true;
  at("inside").hidden = false;
  at("leave").hidden = false;
  clearInterval(timer);
  timer = setInterval(() => document.hidden || attempt(refresh), 5000);
}

function leave() {
  clearInterval(timer);
  sessionStorage.removeItem("key");
  key = "";
  heard = 0;
  users = [];
  ["users", "invitations", "events"].forEach((id) => at(id).replaceChildren());
  at("inside").hidden = true;
  at("leave").hidden = true;
  at("enter").hidden = false;
  at("master").value = "";
  at("master").focus();
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("master").value.trim();
  attempt(enter, event.submitter);
});
at("leave").addEventListener("click", leave);
at("add").addEventListener("submit", (event) => attempt(() => add(event), event.submitter));
at("add").addEventListener("submit", (event) => event.preventDefault());
at("search").addEventListener("input", show);
at("close").addEventListener("click", () => at("paper").close());
if (key) attempt(enter);
else at("master").focus();
