# Words that the seven stories share. Each is run by tests/stories/mod.rs, twice: with JOB=on it has to end well, with
# JOB=off it has to fail at the line that misses the job. What is off then: the section of bowline.toml (laptop, router,
# fleet); the runner's token (ci), the manager's key (lead), the log (auditor) or the server (traveller), where no section
# is the job.
#
# From outside: HOME, PATH (with `bowline`, the program under test), AWS_ENDPOINT_URL, PYTHON (with boto3 and the AWS CLI), CALLERS (the
# folder of little boto3 programs), STATUS and PORT (free addresses), JOB.
set -eu
cd "$HOME"

# Seconds: long for a loaded machine; a story that cannot end well need not be waited for.
if [ "$JOB" = on ]; then PATIENCE=15; else PATIENCE=3; fi

say() { echo "-- $*"; }
fail() { echo "FAILED: $*"; exit 1; }

aws() { "$PYTHON" -m awscli "$@"; }
boto3() { program=$1; shift; "$PYTHON" "$CALLERS/$program" "$@"; }

# Looks again and again until COMMAND succeeds: eventually WHAT COMMAND…
eventually() {
    what=$1; shift; begun=$(date +%s)
    until "$@" >/dev/null 2>&1; do
        [ $(($(date +%s) - begun)) -lt "$PATIENCE" ] || fail "not within $PATIENCE s: $what"
        sleep 0.1
    done
    say "$what"
}

# Succeeds when COMMAND does not: no COMMAND…
no() { if "$@"; then return 1; else return 0; fi; }

# The part of bowline.toml that this story is about; reads it from stdin.
job() { if [ "$JOB" = on ]; then cat >> bowline.toml; else cat > /dev/null; fi; }

# Starts `bowline run` and ends it with the story.
daemon() {
    bowline check --config bowline.toml
    bowline run --config bowline.toml > daemon.log 2>&1 &
    DAEMON=$!
    trap 'kill "$DAEMON" 2>/dev/null; wait "$DAEMON" 2>/dev/null || true' EXIT
    eventually "the daemon is ready" curl -fsS "http://$STATUS/readyz"
}

# The id of the key that a profile has now, and nothing secret.
key_id() { bowline creds "$1" | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["AccessKeyId"])'; }
has_another_key() { [ "$(key_id "$1")" != "$2" ]; }
