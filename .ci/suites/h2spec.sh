# h2spec, the conformance tests of HTTP/2, from its sources: as it is, and with its requests made calls of gRPC.

command -v go >/dev/null || skip "h2spec is built with Go, which is not here"

MODULE=github.com/summerwind/h2spec@v2.2.1+incompatible

build_h2spec() {
  local source=$WORK_DIR/source
  go mod download "$MODULE" || return 1
  cp -r "$(go env GOMODCACHE)/$MODULE" "$source" && chmod -R u+w "$source" || return 1
  # It is older than Go's modules; its libraries are those of go.mod here.
  rm "$source"/Gopkg.*
  cp test/blackbox/h2spec/go.mod test/blackbox/h2spec/go.sum "$source" || return 1
  cd "$source" || return 1
  go build -o "$WORK_DIR/h2spec" ./cmd/h2spec || return 1
  sed -i 's|HeaderField(":method", "GET")|HeaderField(":method", "POST")|
    s|\(\t*\)HeaderField(":authority", authority),|&\n\1HeaderField("content-type", "application/grpc"),|' spec/util.go
  # A request without a body is no call: when it is told so, it sends an empty message instead of nothing.
  sed -i 's|^\treturn conn.framer.WriteHeaders(p)$|\tif os.Getenv("H2SPEC_MESSAGE") == "" \|\| !p.EndStream \|\| !p.EndHeaders {\n\t&\n\t}\
\tp.EndStream = false\
\tif err := conn.framer.WriteHeaders(p); err != nil {\n\t\treturn err\n\t}\
\treturn conn.framer.WriteData(p.StreamID, true, make([]byte, 5))|' spec/connection.go
  go build -o "$WORK_DIR/h2spec-grpc" ./cmd/h2spec
}
export GOFLAGS=-buildvcs=false
(build_h2spec) >"$WORK_DIR/build.log" 2>&1 || { echo "h2spec could not be built:"; tail -n 5 "$WORK_DIR/build.log"; exit 1; }
check "TCP, TLS, and as calls" node test/blackbox/h2spec.ts --h2spec="$WORK_DIR/h2spec" --h2spec-grpc="$WORK_DIR/h2spec-grpc"
