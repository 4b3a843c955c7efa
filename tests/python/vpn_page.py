"""Drives the operator's page in headless Chromium over its debugging pipe: no driver, no package.

Usage: MASTER_KEY=… vpn_page.py URL FOLDER-FOR-SCREENSHOTS
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

URL, SHOTS = sys.argv[1:]
PATIENCE = 15


class Browser:
    """Chromium and one page in it."""

    def __init__(self):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire():
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self.home = tempfile.TemporaryDirectory()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        flags += [f"--user-data-dir={self.home.name}", "--hide-scrollbars", "about:blank"]
        self.process = subprocess.Popen(
            ["/usr/bin/chromium", *flags], preexec_fn=wire, pass_fds=(3, 4, theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write = os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0)
        self.rest, self.number, self.session, self.troubles = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        wanted = self.number
        message = {"id": wanted, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == wanted:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def next(self):
        while b"\0" not in self.rest:
            more = self.read.read(65536)
            assert more, "chromium has ended"
            self.rest += more
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        method = message.get("method", "")
        if method == "Page.javascriptDialogOpening":
            self.number += 1
            accept = {"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}, "sessionId": self.session}
            self.write.write(json.dumps(accept).encode() + b"\0")
        if method == "Runtime.exceptionThrown" or (method == "Log.entryAdded" and message["params"]["entry"]["level"] == "error"):
            self.troubles.append(json.dumps(message["params"])[:400])
        return message

    def run(self, script):
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, what, script):
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, f"never: {what}; {self.run('document.body.innerText')}; {self.troubles}"
            time.sleep(0.05)

    def shot(self, name, width=1100, height=900):
        phone = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        image = self.call("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(SHOTS, f"vpn-{name}.png"), "wb") as file:
            file.write(base64.b64decode(image))
        wide = self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name}: {wide} pixels too wide"

    def key(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text if kind == "keyDown" else "")

    def type(self, text):
        self.call("Input.insertText", text=text)


def click(browser, inside, text):
    found = browser.run(
        f"(() => {{ const all = [...document.querySelectorAll({inside!r} + ' button')];"
        f" const one = all.find((button) => button.textContent === {text!r}); if (one) one.click(); return Boolean(one); }})()"
    )
    assert found, f"no button {text} in {inside}"


def story(browser):
    browser.call("Page.navigate", url=URL)
    browser.until("the page asks for the key", "document.activeElement !== null && document.activeElement.id === 'master'")
    browser.shot("sign-in")
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
    browser.shot("link")
    click(browser, "#paper", "Close")
    browser.until("bob is invited", "document.getElementById('invitations').innerText.includes('bob')")
    browser.shot("users")
    browser.shot("users-phone", 390, 844)
    click(browser, "#user-alice", "QR code")
    browser.until("the QR code is drawn", "document.querySelector('#paper img') !== null && document.querySelector('#paper img').naturalWidth > 100")
    browser.shot("qr-phone", 390, 844)
    browser.shot("qr")
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
    browser.shot("invitation-phone", 390, 844)
    browser.run("document.querySelector('button').click()")
    browser.until("the configuration is shown", "document.querySelector('.qr svg') !== null && document.getElementById('conf').value.includes('[Peer]')")
    browser.shot("welcome-phone", 390, 1500)
    browser.call("Page.navigate", url=f"{URL}/docs")
    browser.until("the reference is shown", "document.body !== null && document.body.innerText.includes('/users/{id}/rotate')")
    browser.shot("docs")


browser = Browser()
try:
    story(browser)
finally:
    browser.process.kill()
    browser.process.wait()
print("done")
