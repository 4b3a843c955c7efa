"""Drives the operator's page in headless Chromium.

Usage: MASTER_KEY=… vpn_page.py URL FOLDER-FOR-SCREENSHOTS
"""

import os
import sys

from chromium import Browser

URL, SHOTS = sys.argv[1:]


def shot(name, *size):
    browser.shot(os.path.join(SHOTS, f"vpn-{name}.png"), *size)


def click(browser, inside, text):
    found = browser.run(
        f"(() => {{ const all = [...document.querySelectorAll({inside!r} + ' button')];"
        f" const one = all.find((button) => button.textContent === {text!r}); if (one) one.click(); return Boolean(one); }})()"
    )
    assert found, f"no button {text} in {inside}"


def story(browser):
    browser.call("Page.navigate", url=URL)
    browser.until("the page asks for the key", "document.activeElement !== null && document.activeElement.id === 'master'")
    shot("sign-in")
    # By keyboard alone.
    browser.type("wrong-key")
    browser.key("Enter", 13, "\r")
    browser.until("a wrong key is refused", "document.getElementById('state').textContent.includes('opens nothing')")
    browser.run("document.getElementById('master').value = ''")
    browser.run("document.getElementById('master').focus()")
    browser.type(os.environ["MASTER_KEY"])
    browser.key("Enter", 13, "\r")
    browser.until("we are in", "!document.getElementById('inside').hidden")
    browser.run("document.getElementById('name').focus()")
    browser.type("alice")
    click(browser, "#add", "Add now")
    browser.until("the key is shown once", "document.getElementById('paper').open && document.getElementById('once').value.startsWith('bvu_')")
    click(browser, "#paper", "Close")
    browser.until("alice is listed", "document.getElementById('user-alice') !== null")
    browser.run("document.getElementById('name').value = 'bob'")
    click(browser, "#add", "Invite by link")
    browser.until("the link is shown", "document.getElementById('paper').open && document.getElementById('once').value.includes('/join/bvi_')")
    link = browser.run("document.getElementById('once').value")
    shot("link")
    click(browser, "#paper", "Close")
    browser.until("bob is invited", "document.getElementById('invitations').innerText.includes('bob')")
    shot("users")
    shot("users-phone", 390, 844)
    click(browser, "#user-alice", "QR code")
    browser.until("the QR code is drawn", "document.querySelector('#paper img') !== null && document.querySelector('#paper img').naturalWidth > 100")
    shot("qr-phone", 390, 844)
    shot("qr")
    click(browser, "#paper", "Close")
    click(browser, "#user-alice", "Disable")
    browser.until("alice is disabled", "document.getElementById('user-alice').innerText.includes('disabled')")
    click(browser, "#user-alice", "Enable")
    browser.until("alice is active", "document.getElementById('user-alice').innerText.includes('active')")
    click(browser, "#user-alice", "Remove")
    browser.until("alice is gone", "document.getElementById('user-alice') === null")
    refused = [one for one in browser.troubles if "401" not in one]
    assert refused == [], refused
    browser.call("Page.navigate", url=link)
    browser.until("the invitation is shown", "document.body !== null && document.body.innerText.includes('You are invited')")
    shot("invitation-phone", 390, 844)
    browser.run("document.querySelector('button').click()")
    browser.until("the configuration is shown", "document.querySelector('.qr svg') !== null && document.getElementById('conf').value.includes('[Peer]')")
    shot("welcome-phone", 390, 1500)
    browser.call("Page.navigate", url=f"{URL}/docs")
    browser.until("the reference is shown", "document.body !== null && document.body.innerText.includes('/users/{id}/rotate')")
    shot("docs")


browser = Browser()
try:
    story(browser)
finally:
    browser.process.kill()
    browser.process.wait()
print("done")
