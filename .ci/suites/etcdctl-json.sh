# The README's commands, executed as they are printed.

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in 2379 2380 2479 2480 2579 2580 2679 2680; do
  taken "$port" && skip "the README's port $port is in use"
done
check "the README's walk-through" node test/blackbox/etcdctl-json.ts
