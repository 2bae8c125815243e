# A real etcd and d-engine, of one member and of three, answer one random stream of requests alike.

# Taken out of its package rather than installed: an installation would start it as a service.
fetch_etcd() {
  mkdir -p "$WORK_DIR/etcd"
  (cd "$WORK_DIR/etcd" && { apt-get download etcd-server || { apt-get update && apt-get download etcd-server; }; }) \
    >"$WORK_DIR/etcd/log" 2>&1 || return 1
  dpkg -x "$WORK_DIR"/etcd/etcd-server_*.deb "$WORK_DIR/etcd" || return 1
  PATH=$WORK_DIR/etcd/usr/bin:$PATH
}

command -v etcd >/dev/null || fetch_etcd || skip "there is no etcd, and its package cannot be fetched: $(tail -n 1 "$WORK_DIR/etcd/log")"
etcd --version | head -n 1
# A fixed stream here, so that a failure is of the change; by hand each run draws another and prints its seed.
check "the same replies as etcd" node test/blackbox/etcd-differential.ts --seed=1
