# The S3 adapter on servers that have conditional writes: R2 as Cloudflare's local runtime has it, and versitygw.

vitest_on_servers() { TEST_SERVERS=1 npx vitest run "$@"; }

check "a node's stores on R2 by its S3 API" vitest_on_servers test/servers/r2.test.ts

command -v go >/dev/null || { echo "versitygw is built with Go, which is not here"; exit 0; }
install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0 || exit 1
check "the port of object stores, and a node's stores, on versitygw" vitest_on_servers test/servers/s3.test.ts
check "a member on versitygw is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --server=versitygw --rounds=1
