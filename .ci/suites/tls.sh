# Three servers with mutual TLS, whose authority is replaced by another under writes; etcdctl 3.4 and curl over TLS.

fetch_debian_program etcdctl etcd-client
command -v curl >/dev/null || skip "there is no curl"
check "certificates are replaced under writes, and nothing is lost" node test/blackbox/tls.ts
