# The S3 adapter on versitygw, a server with conditional writes that keeps objects as files.

command -v go >/dev/null || skip "versitygw is built with Go, which is not here"
install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0 || exit 1

check "the port of object stores, and a node's stores, on versitygw" \
  env TEST_SERVERS=1 npx vitest run test/servers/s3.test.ts
check "a member on versitygw is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --server=versitygw --rounds=1
check "three members on versitygw are killed and paused, and nothing acknowledged is lost" \
  node test/blackbox/cluster-kill.ts --server=versitygw --seconds=20
check "a member beside the others copies a snapshot by its name, one elsewhere is sent its bytes" \
  node test/blackbox/storage-snapshot-by-name.ts --server=versitygw
check "a backup becomes three members on versitygw" \
  node test/blackbox/storage-restore.ts --server=versitygw
