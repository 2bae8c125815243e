# etcdctl 3.4, Debian's, unchanged and by gRPC, against three servers.

fetch_debian_program etcdctl etcd-client
ETCDCTL_API=3 etcdctl version | head -n 1
check "every command that the specification names" node test/blackbox/etcdctl.ts
