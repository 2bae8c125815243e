# What a server must refuse, and a disk that runs full.

check "a second process on the same directory" node test/blackbox/data-dir.ts second-process
check "a directory that belongs to another" node test/blackbox/data-dir.ts foreign-directory
check "a damaged directory" node test/blackbox/data-dir.ts corrupt-directory
check "public addresses without secrets" node test/blackbox/data-dir.ts open-doors
check "members with different secrets" node test/blackbox/data-dir.ts wrong-peer-secret
check "a cluster over TLS" node test/blackbox/data-dir.ts tls

# A small disk, in a mount namespace of its own, so that it goes with the process that uses it.
on_small_disk() {
  mkdir -p "$WORK_DIR/small"
  unshare --mount sh -c '
    mount -t tmpfs -o size=16m small-disk "$1" && head -c 6000000 /dev/zero >"$1/ballast" || exit 77
    shift && exec "$@"' sh "$WORK_DIR/small" "$@"
}
on_small_disk true || skip "a small disk needs the right to mount"
check "a full disk" on_small_disk node test/blackbox/data-dir.ts full-disk "$WORK_DIR/small"
