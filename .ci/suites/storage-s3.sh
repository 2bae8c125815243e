# The S3 adapter on a server that keeps objects as files and has conditional writes.

command -v go >/dev/null || skip "versitygw is built with Go, which is not here"
install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0 || exit 1

check "the port of object stores on versitygw" env TEST_SERVERS=1 npx vitest run test/servers/s3.test.ts
