# A real etcd and d-engine, of one member and of three, answer one random stream of requests alike.

fetch_debian_program etcd etcd-server
etcd --version | head -n 1
# A fixed stream here, so that a failure is of the change; by hand each run draws another and prints its seed.
check "the same replies as etcd" node test/blackbox/etcd-differential.ts --seed=1
