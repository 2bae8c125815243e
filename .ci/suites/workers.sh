# What `wrangler deploy` would upload, its size, and a local cluster by one command.

bundle() {
  npx wrangler deploy --dry-run --outdir "$WORK_DIR/bundle" >"$WORK_DIR/bundle.log" 2>&1 || { cat "$WORK_DIR/bundle.log"; return 1; }
  grep "Total Upload" "$WORK_DIR/bundle.log"
  grep -q "env.RAFT (RaftObject)" "$WORK_DIR/bundle.log"
}
check "wrangler deploy --dry-run" bundle

dev_port=$(free_port)
start_server dev node workers/dev.ts --port "$dev_port" --persist-to "$WORK_DIR/state"

# The commands as they are printed for whoever runs it.
printed() { grep -o "curl -H .*" "$WORK_DIR/dev.log"; }
both_commands() { [[ $(printed | wc -l) -eq 2 ]]; }
put_and_get() {
  wait_until 60 both_commands || { cat "$WORK_DIR/dev.log"; return 1; }
  eval "$(printed | sed -n 1p) --silent --show-error --fail" && [[ $(eval "$(printed | sed -n 2p) --silent --fail") == hello ]]
}
check "npm run dev:workers" put_and_get

check "a cluster of objects: membership, sleep, hibernating watches, leases, users" \
  env TEST_SERVERS=1 npx vitest run test/servers/workers-cluster.test.ts test/servers/workers-hibernation.test.ts \
  test/servers/workers-auth.test.ts
