# A traveller: sets up a VPN server's certificate and key once, adds a phone, connects, sees a page from the server's side of
# the world, and leaves the laptop as it was. The server runs elsewhere (API, PIN); wg-quick, wireguard-go and curl are real.
. "$(dirname "$0")/lib.sh"

seen() { ip rule; ip route show table all; ip -o -br link; cat /etc/resolv.conf; }
seen > before

bowline vpn setup "$API" --pin "$PIN" --key-file master || fail "the server is not there"
bowline vpn users add laptop > laptop.json
bowline vpn users add phone > phone.json
bowline vpn users qr phone > phone.qr && grep -q '█' phone.qr || fail "no code for the phone"
say "two users, and a code for the phone"

bowline vpn connect laptop
eventually "the page is reached from the other side" curl -fsS --max-time 3 "$PAGE"
bowline vpn test "${PAGE_HOST%:*}" "${PAGE_HOST#*:}" | grep -q 'answers, from 10\.77\.' || fail "not by the link"
bowline vpn status --exit-from '' | grep -q laptop || fail "the link is not shown"

bowline vpn disconnect
seen | diff before - || fail "the laptop is not as it was"
say "routes, rules, links and resolver are as they were"

bowline vpn users rm phone
no bowline vpn users show phone 2> /dev/null || fail "the phone is still there"
say "the phone is gone"
