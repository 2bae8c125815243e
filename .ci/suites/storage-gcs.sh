# The GCS adapter on fake-gcs-server.

command -v go >/dev/null || skip "fake-gcs-server is built with Go, which is not here"
install_go_program github.com/fsouza/fake-gcs-server@v1.56.1 || exit 1

check "the port of object stores, and a node's stores, on fake-gcs-server" \
  env TEST_SERVERS=1 npx vitest run test/servers/gcs.test.ts
check "a member on fake-gcs-server is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --server=fake-gcs-server --rounds=1
check "three members on fake-gcs-server are killed and paused, and nothing acknowledged is lost" \
  node test/blackbox/cluster-kill.ts --server=fake-gcs-server --seconds=20
check "a member beside the others copies a snapshot by its name, one elsewhere is sent its bytes" \
  node test/blackbox/storage-snapshot-by-name.ts --server=fake-gcs-server
check "a backup becomes three members on fake-gcs-server" \
  node test/blackbox/storage-restore.ts --server=fake-gcs-server
