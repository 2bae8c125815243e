# etcd's own clients, unchanged: npm's etcd3, and Go's clientv3 with its mutex, election and STM.

clientv3=()
if command -v go >/dev/null; then
  if (cd test/blackbox/clientv3 && GOFLAGS=-buildvcs=false timeout 200 go build -o "$WORK_DIR/clientv3" .) >"$WORK_DIR/build.log" 2>&1; then
    clientv3=("--clientv3=$WORK_DIR/clientv3")
  else
    echo "clientv3 could not be built:"
    tail -n 5 "$WORK_DIR/build.log"
    exit 1
  fi
else
  skip_check "clientv3 is built with Go, which is not here"
fi
check "npm's etcd3 and Go's clientv3" node test/blackbox/etcd-clients.ts "${clientv3[@]}"
