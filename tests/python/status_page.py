"""Drives the status page of `bowline demo` in headless Chromium.

Usage: status_page.py URL FOLDER-FOR-SCREENSHOTS
"""

import os
import sys

from chromium import Browser

URL, SHOTS = sys.argv[1:]


def shot(name, *size):
    browser.shot(os.path.join(SHOTS, f"status-{name}.png"), *size)


def text(id):
    return f"document.getElementById({id!r}).innerText"


def story(browser):
    browser.call("Page.navigate", url=URL)
    browser.until("the page says how it stands", "document.getElementById('program') !== null && " + text("program") + ".startsWith('bowline ')")
    browser.until("credentials are shown", text("credentials") + ".includes('fresh')")
    browser.until("the ratio is shown", text("artifacts-body") + ".includes('from the cache')")
    browser.until("tunnels are shown", text("gateway-body") + ".includes('up')")
    browser.until("the VPN's users are shown", text("vpn-body") + ".includes('connected')")
    # It lives: the count of requests goes up by itself.
    before = browser.run(text("artifacts-body"))
    browser.until("it is live", text("artifacts-body") + f" !== {before!r}")
    count = "document.querySelector('time.until').textContent"
    before = browser.run(count)
    browser.until("the countdown counts", f"{count} !== {before!r}")
    shot("page", 1100, 1000)
    shot("phone", 390, 1500)
    # By keyboard alone: the link to the users' page can be reached and is visibly focused.
    link = "document.activeElement.textContent === 'Users, invitations and QR codes'"
    for _ in range(20):
        browser.key("Tab", 9)
        if browser.run(link):
            break
    assert browser.run(link), browser.run("document.activeElement.outerHTML")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert browser.run("document.activeElement.href").startswith("http://127.0.0.1:")
    # Nobody who reads is disturbed: what says the same is not made anew.
    browser.run("document.getElementById('vpn-body').firstChild.dataset.kept = 'yes'; window.seen = document.getElementById('when').textContent")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    shot("dark", 1100, 1000)
    assert browser.troubles == [], browser.troubles
    # What is injected does not run.
    browser.run("const s = document.createElement('script'); s.textContent = 'window.injected = true'; document.body.append(s)")
    assert browser.run("window.injected") is None
    assert any("Content Security Policy" in one for one in browser.troubles) or browser.run("window.injected") is None


browser = Browser()
try:
    story(browser)
finally:
    browser.process.kill()
    browser.process.wait()
print("done")
