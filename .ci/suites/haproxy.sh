# What examples/deploy offers for machines of one's own.

# With its libraries; where services are started for whoever installs them, not this one.
install_haproxy() {
  local log=$WORK_DIR/haproxy.log
  { RUNLEVEL=1 apt-get install --yes --no-install-recommends haproxy ||
    { apt-get update && RUNLEVEL=1 apt-get install --yes --no-install-recommends haproxy; }; } >"$log" 2>&1
}

unit_is_valid() { # It is told about lines of the unit; that the program is not installed here does not count.
  local said
  said=$(systemd-analyze verify --man=no ./examples/deploy/d-engine.service 2>&1)
  echo "$said"
  ! grep -q "d-engine.service:[0-9]" <<<"$said"
}
if command -v systemd-analyze >/dev/null; then
  check "the systemd unit" unit_is_valid
else
  skip_check "the systemd unit: there is no systemd-analyze"
fi

command -v haproxy >/dev/null || install_haproxy || skip "there is no HAProxy, and it cannot be installed: $(tail -n 1 "$WORK_DIR/haproxy.log")"
haproxy -v | head -n 1
check "three servers behind HAProxy, their leader killed" node test/blackbox/behind-haproxy.ts
