# A CI host: the runner has a token file and no key. Programs get credentials from an endpoint that lives as long as they do.
. "$(dirname "$0")/lib.sh"

echo first.jwt > jwt
if [ "$JOB" = on ]; then
    export AWS_WEB_IDENTITY_TOKEN_FILE="$HOME/jwt" AWS_ROLE_ARN=arn:aws:iam::111122223333:role/ci AWS_ROLE_SESSION_NAME=job-7
fi
export AWS_DEFAULT_REGION=us-east-1
: > bowline.toml

arn=$(bowline exec default -- "$PYTHON" "$CALLERS/default_caller.py") || fail "the job has no credentials"
[ "$arn" = "arn:aws:sts::111122223333:assumed-role/ci/job-7 container-role" ] || fail "somebody else: $arn"
say "boto3 is the role, from the child's endpoint"

bowline exec default -- env > child.env
no grep -E 'AWS_(SECRET_ACCESS_KEY|SESSION_TOKEN)=' child.env || fail "a key is in the child's environment"

echo second.jwt > jwt
first=$(key_id default)
bowline verify default --rotate || fail "no new session"
has_another_key default "$first" || fail "the old session is handed out"
say "the runner's new token is read, and a new session comes of it"

code=0
bowline exec default -- sh -c 'exit 7' || code=$?
[ "$code" = 7 ] || fail "the exit code is lost: $code"
say "exit codes pass through"
