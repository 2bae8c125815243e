# Helpers for .ci/suites/*.sh. .ci/run sources this file and then the suite, in a shell of the suite's own.
#
#   check NAME COMMAND...          runs the command; NAME passed or failed by its exit status
#   skip REASON                    ends the suite: it cannot run here
#   skip_check REASON              says that one check is left out; the suite goes on
#   start_server NAME COMMAND...   in the background, output to $WORK_DIR/NAME.log, pid in $SERVER_PID;
#                                  stopped by its pid when the suite ends, however it ends
#   stop_server PID [SIGNAL]       stops one of them earlier
#   install_go_program PACKAGE@VERSION
#                                  builds it and puts it on the PATH; quick when Go has built it before
#   fetch_debian_program PROGRAM PACKAGE
#                                  puts it on the PATH unless it is there, or ends the suite
#   start_dynamodb_local           sets $DYNAMODB_ENDPOINT and credentials; fails when it cannot be fetched
#   install_lambda_runtime         sets $LAMBDA_RUNTIME to what test/blackbox/lambda*.ts take for AWS's runtime and
#                                  emulator; says so where one cannot be had, and a small one of ours serves instead
#   free_port                      prints a port of loopback that nobody listens on
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
  skip_check "$@"
  exit 0
}

skip_check() {
  echo "skipped: $SUITE: $*"
  echo skipped >>"$RESULTS"
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

# Taken out of its package rather than installed: an installation would start a server as a service.
fetch_debian_program() {
  local program=$1 package=$2 dir=$WORK_DIR/$2
  command -v "$program" >/dev/null && return
  mkdir -p "$dir"
  (cd "$dir" && { apt-get download "$package" || { apt-get update && apt-get download "$package"; }; }) >"$dir/log" 2>&1 &&
    dpkg -x "$dir/$package"_*.deb "$dir" ||
    skip "there is no $program, and its package $package cannot be fetched: $(tail -n 1 "$dir/log")"
  PATH=$dir/usr/bin:$PATH
}

# AWS's own, a Java program that an npm package carries.
start_dynamodb_local() {
  local port
  (cd "$WORK_DIR" && npm pack --silent amplify-dynamodb-simulator@2.9.30 >/dev/null && tar xzf ./amplify-*.tgz) ||
    { echo "DynamoDB Local could not be fetched"; return 1; }
  port=$(free_port)
  start_server dynamodb serve_dynamodb "$port"
  export DYNAMODB_ENDPOINT=http://127.0.0.1:$port
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1
  wait_until 30 curl -s "$DYNAMODB_ENDPOINT" || { cat "$WORK_DIR/dynamodb.log"; return 1; }
}

serve_dynamodb() {
  cd "$WORK_DIR/package/emulator" &&
    exec java -Xmx512m -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar \
      -inMemory -disableTelemetry -port "$1"
}

# Kept from one run to the next: the native part of aws-lambda-ric takes a minute or two to compile. The emulator is in
# the wheel of AWS's SAM CLI, of which nothing else is installed.
LAMBDA_RIC=aws-lambda-ric-4.0.2
LAMBDA_WHEEL=aws_sam_cli-1.170.0-py3-none-any.whl
install_lambda_runtime() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/d-engine-ci machine
  machine=$(uname -m)
  local emulator=$cache/${LAMBDA_WHEEL%-py3*}/aws-lambda-rie-${machine/aarch64/arm64}
  LAMBDA_RUNTIME=()
  mkdir -p "$cache"
  # Of two suites the second waits for the first.
  if flock "$cache" bash -uo pipefail -c "$(declare -f install_lambda_ric); install_lambda_ric \"\$@\"" - \
    "$cache/$LAMBDA_RIC" >"$WORK_DIR/ric.log" 2>&1; then
    LAMBDA_RUNTIME+=("--ric=$cache/$LAMBDA_RIC")
  else
    echo "aws-lambda-ric is not built here (it needs cmake, a C++ compiler and node-gyp):"
    tail -n 3 "$WORK_DIR/ric.log"
  fi
  if flock "$cache" bash -uo pipefail -c "$(declare -f install_lambda_emulator); install_lambda_emulator \"\$@\"" - \
    "$emulator" "$LAMBDA_WHEEL" "$WORK_DIR/wheel" >"$WORK_DIR/emulator.log" 2>&1; then
    LAMBDA_RUNTIME+=("--emulator=$emulator")
  else
    echo "AWS's Runtime Interface Emulator is not to be had here (it needs Python, pip and Linux):"
    tail -n 3 "$WORK_DIR/emulator.log"
  fi
}

install_lambda_ric() { # install_lambda_ric DIR
  local dir=$1 native=node_modules/aws-lambda-ric/rapid-client.node
  [[ -f $dir/$native ]] && return
  command -v cmake >/dev/null && command -v g++ >/dev/null || { echo "there is no cmake, or no g++"; return 1; }
  rm -rf "$dir" && mkdir -p "$dir" && echo '{"private":true}' >"$dir/package.json" &&
    timeout 110 npm install --prefix "$dir" --no-audit --no-fund --foreground-scripts "aws-lambda-ric@${dir##*-}" &&
    [[ -f $dir/$native ]]
}

install_lambda_emulator() { # install_lambda_emulator FILE WHEEL SCRATCH
  local file=$1 wheel=$2 scratch=$3 name=${1##*/} version
  [[ -x $file ]] && return
  version=${wheel#*-} version=${version%%-*}
  mkdir -p "$scratch" "${file%/*}" &&
    timeout 60 python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$scratch" "aws-sam-cli==$version" &&
    python3 -m zipfile -e "$scratch/$wheel" "$scratch" &&
    chmod +x "$scratch/samcli/local/rapid/$name" && mv "$scratch/samcli/local/rapid/$name" "$file"
}

free_port() {
  node -e 'const server = require("node:net").createServer();
    server.listen(0, "127.0.0.1", () => { process.stdout.write(`${server.address().port}`); server.close(); })'
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
