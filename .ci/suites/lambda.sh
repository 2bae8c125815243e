# A function that is the node, as it is deployed: the bundle, AWS's own runtime client (aws-lambda-ric), and processes
# that are stopped between their invocations. And more schedules of the simulator than npm test plays.

# Not on AWS's emulator (aws-lambda-rie), which cannot be had as a Go module: test/blackbox/lambda/runtime-api.ts serves
# the Runtime API, which is what the emulator would.

# The native part of aws-lambda-ric takes a minute or two to compile, so it is kept from one run to the next.
ric=${XDG_CACHE_HOME:-$HOME/.cache}/d-engine-ci/aws-lambda-ric-4.0.2
install_ric() {
  [[ -f $ric/node_modules/aws-lambda-ric/rapid-client.node ]] && return
  rm -rf "$ric" && mkdir -p "$ric" && echo '{"private":true}' >"$ric/package.json" &&
    timeout 110 npm install --prefix "$ric" --no-audit --no-fund --foreground-scripts aws-lambda-ric@4.0.2 \
      >"$WORK_DIR/ric.log" 2>&1 && [[ -f $ric/node_modules/aws-lambda-ric/rapid-client.node ]]
}
if command -v cmake >/dev/null && command -v g++ >/dev/null && install_ric; then
  runtime=("--ric=$ric")
else
  echo "aws-lambda-ric is not built here (it needs cmake, a C++ compiler and node-gyp); a small runtime of our own instead"
  tail -n 3 "$WORK_DIR/ric.log" 2>/dev/null
  runtime=()
fi

if command -v go >/dev/null && install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0; then
  check "a function that is the node, its log on an S3 server" \
    node test/blackbox/lambda.ts "${runtime[@]}" --server=versitygw --seconds=10
else
  skip_check "no S3 server: versitygw is built with Go"
fi

if command -v java >/dev/null; then
  start_dynamodb_local || exit 1
  check "a function that is the node, its log on DynamoDB Local" \
    node test/blackbox/lambda.ts "${runtime[@]}" --seconds=5 \
    "--storage=dynamodb://engine/lambda?createTable=true&endpoint=$DYNAMODB_ENDPOINT"
else
  skip_check "no DynamoDB Local: it needs Java"
fi

check "schedules of a function that is the node are clean" \
  node test/runtimes/lambda/node/exploration/main.ts --from 7001 --seeds 300 --seconds 30
check "planted bugs are found" \
  node test/runtimes/lambda/node/exploration/planted-main.ts --seeds 600 --only \
  read-not-confirmed,leader-lease-after-thaw,ambiguous-is-failed,ambiguous-is-repeated,half-followed,not-fenced
