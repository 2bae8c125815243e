# Helpers for .ci/suites/*.sh. .ci/run sources this file and then the suite, in a shell of the suite's own.
#
#   check NAME COMMAND...          runs the command; NAME passed or failed by its exit status
#   skip REASON                    ends the suite: it cannot run here
#   start_server NAME COMMAND...   in the background, output to $WORK_DIR/NAME.log, pid in $SERVER_PID;
#                                  stopped by its pid when the suite ends, however it ends
#   stop_server PID [SIGNAL]       stops one of them earlier
#   install_go_program PACKAGE@VERSION
#                                  builds it and puts it on the PATH; quick when Go has built it before
#   wait_until SECONDS COMMAND...  polls until the command succeeds; fails when time runs out
#
# $WORK_DIR is empty at the start and removed at the end. $RESULTS holds one "passed|failed|skipped" per line.

SERVER_PIDS=()
SERVER_PID=""

check() {
  local name=$1
  shift
  if "$@"; then
    echo "passed: $SUITE: $name"
    echo passed >>"$RESULTS"
  else
    echo "failed: $SUITE: $name"
    echo failed >>"$RESULTS"
  fi
}

skip() {
  echo "skipped: $SUITE: $*"
  echo skipped >>"$RESULTS"
  exit 0
}

start_server() {
  local name=$1
  shift
  "$@" >"$WORK_DIR/$name.log" 2>&1 </dev/null &
  SERVER_PID=$!
  SERVER_PIDS+=("$SERVER_PID")
}

stop_server() {
  kill -s "${2:-TERM}" "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

install_go_program() {
  GOBIN=$WORK_DIR/bin GOFLAGS=-buildvcs=false go install "$1" >"$WORK_DIR/install.log" 2>&1 ||
    { echo "$1 could not be built:"; tail -n 5 "$WORK_DIR/install.log"; return 1; }
  PATH=$WORK_DIR/bin:$PATH
}

wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

stop_all_servers() {
  local pid
  for pid in "${SERVER_PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  # A server that does not stop when asked is killed, so that no port stays taken.
  for pid in "${SERVER_PIDS[@]}"; do
    wait_until 5 server_is_gone "$pid" || kill -s KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$WORK_DIR"
}

server_is_gone() { ! kill -0 "$1" 2>/dev/null; }

trap stop_all_servers EXIT
trap 'exit 143' TERM INT
