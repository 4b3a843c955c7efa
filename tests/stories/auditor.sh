# The auditor: who got what is in the log, the log proves that it is whole, and `jq`'s like can read it without Bowline.
. "$(dirname "$0")/lib.sh"

cat > bowline.toml <<X
[daemon]
listen = "$STATUS"
keep-fresh = ["build"]
[audit]
path = "$HOME/audit"
X
daemon
aws sts get-caller-identity --profile build-via-bowline > /dev/null
# The log is written whatever the configuration says; only somebody who takes it away leaves the auditor nothing.
[ "$JOB" = on ] || { kill "$DAEMON"; wait "$DAEMON" || true; rm -r audit; }

audit() { part=$1; shift; bowline audit "$part" --config bowline.toml "$@"; }
audit query --profile build --event issued --output json > issued.json || fail "nobody can be asked who got what"
"$PYTHON" - <<'X' || fail "the record does not say who, what and until when"
import json
records = [json.loads(line) for line in open("issued.json")]
assert records and all(one["key_id"].startswith("ASIA") and one["expires"] and one["client"]["program"] for one in records)
X
say "who got what is told"
eventually "the log is as it was written" audit verify

cp -r audit copy && cp audit/checkpoint.json kept.json
"$PYTHON" - <<'X' || fail "a stranger cannot check the chain"
import glob, hashlib, json
before = None
for line in (line for name in sorted(glob.glob("copy/*.jsonl")) for line in open(name)):
    record = json.loads(line)
    digest = record.pop("hash")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == digest and before in (None, record["prev"]), line
    before = digest
assert before
X
say "Python checks the chain without Bowline"

sed -i 's/"event":"issued"/"event":"login"/' copy/*.jsonl
no audit verify copy/*.jsonl > verdict || fail "a changed line passes"
say "a changed line is named: $(head -1 verdict)"

mkdir tree && printf 'AWS_ACCESS_KEY_ID=%s%s\nAWS_SECRET_ACCESS_KEY=%s\n' AKIA QYLPMN5HHHFPZAM2 "$(head -c 30 /dev/urandom | base64)" > tree/.env
no bowline audit scan tree > found || fail "a key in a tree is not found"
say "a key that lies around is found: $(head -1 found)"
