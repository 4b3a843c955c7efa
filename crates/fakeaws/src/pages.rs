//! Small HTML pages: the approve page, the consent page, errors, and the garbage that proxies send.

use crate::{call::Call, reply::Answer, xml::escape};

fn page(status: u16, title: &str, body: &str, outcome: &str) -> Answer {
    let html =
        format!("<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1>{body}</body></html>\n");
    Answer::new(status, "text/html; charset=utf-8", html, outcome)
}

/// What a captive portal or a proxy answers in AWS's place.
pub(crate) fn garbage(status: u16) -> Answer {
    page(status, "Welcome to the network", "<p>Please accept our terms.</p>", "html")
}

/// The login cannot go on, and the client must not hear of it.
pub(crate) fn refused(why: &str) -> Answer {
    page(400, "Sign-in refused", &format!("<p>{}</p>", escape(why)), "refused")
}

/// Approve or deny an authorization request: both are the same address with a word added.
pub(crate) fn consent(call: &Call) -> Answer {
    let query: Vec<String> = call
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", crate::call::escape(name), crate::call::escape(value)))
        .collect();
    let link = |decision: &str| {
        let target = escape(&format!("/authorize?{}&decision={decision}", query.join("&")));
        format!("<p><a id=\"{decision}\" href=\"{target}\">{decision}</a></p>")
    };
    page(200, "Allow access?", &format!("{}{}", link("approve"), link("deny")), "page")
}

/// Approve or deny a device code.
pub(crate) fn device(user_code: &str) -> Answer {
    let code = escape(user_code);
    let form = format!(
        "<form method=\"post\" action=\"/device\"><input name=\"user_code\" value=\"{code}\">\
         <button name=\"decision\" value=\"approve\">approve</button>\
         <button name=\"decision\" value=\"deny\">deny</button></form>"
    );
    page(200, "Authorize a device", &form, "page")
}

/// What became of a device code.
pub(crate) fn decided(found: bool, approve: bool) -> Answer {
    match (found, approve) {
        (false, _) => page(404, "No such code", "<p>It may have been used or have expired.</p>", "unknown"),
        (true, true) => page(200, "Approved", "<p>You may close this page.</p>", "approved"),
        (true, false) => page(200, "Denied", "<p>You may close this page.</p>", "denied"),
    }
}
