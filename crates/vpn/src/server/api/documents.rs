//! What is the same for everybody: the operator's page, the description of the API, and the reference made of it.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::users::typed;

const PAGE: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/app.css");
const SCRIPT: &str = include_str!("../page/app.js");
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// `GET /`
pub(super) async fn page() -> Response {
    typed("text/html; charset=utf-8", PAGE.to_owned())
}

/// `GET /app.css`
pub(super) async fn style() -> Response {
    typed("text/css; charset=utf-8", STYLE.to_owned())
}

/// `GET /app.js`
pub(super) async fn script() -> Response {
    typed("text/javascript; charset=utf-8", SCRIPT.to_owned())
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Response {
    typed("application/json", OPENAPI.to_owned())
}

/// `GET /docs`: the description for people, made of the same file.
pub(super) async fn reference() -> Response {
    let description: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
    html(StatusCode::OK, "API", &readable(&description))
}

fn readable(description: &Value) -> String {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let mut page =
        format!("<h1>{}</h1><p>{}</p>", text(&description["info"]["title"]), text(&description["info"]["description"]));
    for (path, methods) in description["paths"].as_object().into_iter().flatten() {
        for (method, about) in methods.as_object().into_iter().flatten() {
            if !about.is_object() {
                continue;
            }
            let open = about["security"].as_array().is_some_and(Vec::is_empty);
            let who = if open { "open" } else { "key" };
            // Writing into a text does not fail.
            let _ = write!(
                page,
                "<h2><code>{} {}</code> <small>{who}</small></h2><p>{}</p><ul>",
                escape(&method.to_uppercase()),
                escape(path),
                text(&about["summary"])
            );
            for (status, answer) in about["responses"].as_object().into_iter().flatten() {
                let _ = write!(page, "<li><code>{}</code> {}</li>", escape(status), text(&answer["description"]));
            }
            page += "</ul>";
        }
    }
    page + "<p><a href=\"openapi.json\">openapi.json</a></p>"
}

/// A page of our own making around `body`, which is markup.
pub(super) fn html(status: StatusCode, title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} · Bowline VPN</title>\
         <link rel=\"stylesheet\" href=\"/app.css\"></head><body><main>{body}</main></body></html>\n"
    );
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    (status, kind, page).into_response()
}

/// Text as it stands between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            plain => out.push(plain),
        }
        out
    })
}
