# An ops lead: a manager's key makes users in its namespace and hands out their temporary credentials, and nothing beside it.
. "$(dirname "$0")/lib.sh"

[ "$JOB" = on ] || rm -f .aws/credentials
: > bowline.toml

bowline users refresh dirk-bedrock || fail "no credentials for the user"
arn=$(boto3 caller.py dirk-bedrock) || fail "boto3 has no credentials"
case $arn in *dirk-bedrock*) say "boto3 is dirk-bedrock" ;; *) fail "somebody else: $arn" ;; esac
grep -A4 '^\[dirk-bedrock\]' .aws/credentials | grep -q ASIA || fail "no temporary key in the profile"
[ "$(stat -c %a .aws/credentials)" = 600 ] || fail "others can read the keys"

bowline users list | grep -q dirk-bedrock || fail "the user is not listed"
no bowline users refresh somebody-else 2> refused || fail "a user outside of the namespace"
say "a user outside of the namespace is refused: $(head -1 refused)"
bowline audit query --profile dirk-bedrock --output json | grep -q '"event":"issued"' || fail "it is not in the log"
bowline audit verify
