# A fleet of containers: they get an address and a token file, never a key. An SDK reads the file anew by itself.
. "$(dirname "$0")/lib.sh"

cat > bowline.toml <<X
[daemon]
listen = "$STATUS"
keep-fresh = ["build"]
X
job <<X
[endpoint]
listen = "$PORT"
serve = ["build"]
token-file = "$HOME/mounted/token"
X
daemon

# What a container is started with, and nothing else.
contained() {
    env -i PATH="$PATH" HOME=/nonexistent AWS_ENDPOINT_URL="$AWS_ENDPOINT_URL" AWS_DEFAULT_REGION=us-east-1 \
        AWS_CONTAINER_CREDENTIALS_FULL_URI="http://$PORT/v1/role/build" \
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="$HOME/mounted/token" "$@"
}
contained env | no grep -E 'SECRET|AKIA|ASIA' || fail "a key is in the environment"
is_role() { contained "$PYTHON" "$CALLERS/default_caller.py" | grep -q 'assumed-role/.*container-role'; }
is_role || fail "a container has no credentials"
say "boto3 in a container is the role"

first=$(key_id build)
eventually "the session was renewed" has_another_key build "$first"
is_role || fail "no credentials after the renewal"

ask() { curl -s -o answer -w '%{http_code}' "http://$PORT/v1/role/build" "$@"; }
[ "$(ask)" = 401 ] || fail "without a token"
[ "$(ask -H "Authorization: $(cat mounted/token)" -H 'X-Forwarded-For: 10.0.0.1')" = 403 ] || fail "through a proxy"
say "who has no token, or comes through a proxy, gets nothing"
