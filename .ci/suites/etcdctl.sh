# etcdctl 3.4, Debian's, unchanged and by gRPC, against three servers.

fetch_etcdctl() {
  mkdir -p "$WORK_DIR/etcdctl"
  (cd "$WORK_DIR/etcdctl" && { apt-get download etcd-client || { apt-get update && apt-get download etcd-client; }; }) \
    >"$WORK_DIR/etcdctl/log" 2>&1 || return 1
  dpkg -x "$WORK_DIR"/etcdctl/etcd-client_*.deb "$WORK_DIR/etcdctl" || return 1
  PATH=$WORK_DIR/etcdctl/usr/bin:$PATH
}

command -v etcdctl >/dev/null || fetch_etcdctl || skip "there is no etcdctl, and its package cannot be fetched: $(tail -n 1 "$WORK_DIR/etcdctl/log")"
ETCDCTL_API=3 etcdctl version | head -n 1
check "every command that the specification names" node test/blackbox/etcdctl.ts
