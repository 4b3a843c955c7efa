# A router at home: its provider gives it another address, and the Site-to-Site VPN follows. Who looks is the AWS CLI.
. "$(dirname "$0")/lib.sh"

mkdir -p web && echo 198.51.100.1 | tee web/a web/b > web/c
"$PYTHON" -m http.server --bind "${PORT%:*}" --directory web "${PORT#*:}" > web.log 2>&1 &
WEB=$!
cat > bowline.toml <<X
[daemon]
listen = "$STATUS"
X
job <<X
[gateway]
identity = "site"
owner = "site-1"
ip-providers = ["http://$PORT/a", "http://$PORT/b", "http://$PORT/c"]
allow-test-addresses = true
interval = "400ms"
settle-poll = "100ms"
min-change-interval = "0s"
X
eventually "three pages tell the address" curl -fsS "http://$PORT/c"
daemon
trap 'kill "$DAEMON" "$WEB" 2>/dev/null; wait 2>/dev/null || true' EXIT

gateways() { aws ec2 describe-customer-gateways --profile site --query 'CustomerGateways[?State==`available`].IpAddress' --output text; }
[ "$(gateways)" = 198.51.100.1 ] || fail "the site begins elsewhere"

# One page is wrong for a moment: nothing happens for that.
echo 203.0.113.77 > web/b
for page in a c b; do echo 198.51.100.2 > web/$page; done
is_at() { [ "$(gateways)" = "$1" ]; }
eventually "the VPN is at the new address, and the old gateway is gone" is_at 198.51.100.2

say "nothing is left to do" && bowline gateway plan --config bowline.toml --exit-code
