# A function that is the node, as it is deployed: the bundle, AWS's own runtime client (aws-lambda-ric), and processes
# that are stopped between their invocations. And more schedules of the simulator than npm test plays.

# The emulator that AWS offers (aws-lambda-rie, a Go module) is not here: the module proxy answers 403 for it, under its
# repository's name and under go.amzn.com. What it would serve, the Runtime API, test/blackbox/lambda/runtime-api.ts does.
echo "aws-lambda-rie cannot be had as a Go module; the Runtime API is served by test/blackbox/lambda"

# Its native part takes a minute or two to compile, so it is kept from one run to the next.
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
  echo "no S3 server: versitygw is built with Go"
fi

serve_dynamodb() {
  cd "$WORK_DIR/package/emulator" &&
    exec java -Xmx512m -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar \
      -inMemory -disableTelemetry -port "$1"
}
fetch_dynamodb() {
  cd "$WORK_DIR" && npm pack --silent amplify-dynamodb-simulator@2.9.30 >/dev/null && tar xzf ./*.tgz && rm ./*.tgz
}
if command -v java >/dev/null && (fetch_dynamodb); then
  port=$(node -e 'const s = require("node:net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  start_server dynamodb serve_dynamodb "$port"
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1
  wait_until 30 curl -s "http://127.0.0.1:$port" || { cat "$WORK_DIR/dynamodb.log"; exit 1; }
  check "a function that is the node, its log on DynamoDB Local" \
    node test/blackbox/lambda.ts "${runtime[@]}" --seconds=5 \
    "--storage=dynamodb://engine/lambda?createTable=true&endpoint=http://127.0.0.1:$port"
else
  echo "no DynamoDB Local: it needs Java"
fi

check "schedules of a function that is the node are clean" \
  node test/runtimes/lambda/node/exploration/main.ts --from 7001 --seeds 300 --seconds 30
check "planted bugs are found" \
  node test/runtimes/lambda/node/exploration/planted-main.ts --seeds 600 --only \
  read-not-confirmed,leader-lease-after-thaw,ambiguous-is-failed,ambiguous-is-repeated,half-followed,not-fenced
