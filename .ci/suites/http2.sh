# The HTTP/2 of gRPC, which is our own: random frames against a model of the RFC, the same each time (by hand each run
# draws others), and many real clients.

check "a model of RFC 9113 against random frames" node test/blackbox/http2-model.ts --seconds=30 --seed=1
check "thousands of clients and calls, none lost and none kept" node test/blackbox/grpc-stress.ts
