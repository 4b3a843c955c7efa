# A laptop: one sign-in through IAM Identity Center, then the AWS CLI and what a build fetches from a bucket, while sessions
# of four seconds come and go and at the end S3 does too. curl stands for the build: Maven's and Bazel's own are told by
# tests/maven.rs and tests/bazel.rs.
. "$(dirname "$0")/lib.sh"

cat > bowline.toml <<X
[daemon]
listen = "$STATUS"
keep-fresh = ["build"]
X
job <<X
[artifacts]
identity = "build"
listen = "$PORT"
cache = { path = "$HOME/cache", max-size = "1 GiB" }
[[artifacts.repository]]
from = "s3://maven/releases"
X
bowline login build --device || fail "nobody can sign in"
daemon

bowline status build | grep -q fresh || fail "the session is not shown"
aws sts get-caller-identity --profile build-via-bowline | grep -q assumed-role/ || fail "the AWS CLI is not the role"
say "the AWS CLI is the role, by credential_process"

jar=org/acme/knot/1.0/knot-1.0.jar
first=$(key_id build)
curl -fsS "http://$PORT/$jar" -o knot.jar || fail "the repository does not answer"
[ "$(sha1sum < knot.jar | cut -c1-40)" = "$(curl -fsS "http://$PORT/$jar.sha1")" ] || fail "other bytes than were published"
say "a build has its jar, and the checksum fits"

eventually "the session was renewed, and nobody did anything" has_another_key build "$first"
curl -fsS "http://$PORT/org/acme/knot/1.1/knot-1.1.jar" -o knot-1.1.jar || fail "a new file after the renewal"
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://$PORT/org/acme/none/1.0/none-1.0.pom")" = 404 ] || fail "a missing file is a 404"

aws s3api delete-object --profile build-via-bowline --bucket maven --key "releases/$jar"
curl -fsS "http://$PORT/$jar" | cmp - knot.jar || fail "what was fetched once is gone"
say "what was fetched once is kept, though the bucket lost it"
