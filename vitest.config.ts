import { defineConfig } from "vitest/config";

// CI sets CI_RESULTS to the file where it wants machine-readable results; a person gets the plain report.
const resultsFile = process.env["CI_RESULTS"];

export default defineConfig({
  test: {
    // What needs a server of somebody else's is started with one by .ci/suites, and says so by this variable.
    include: process.env["TEST_SERVERS"] === "1" ? ["test/servers/**/*.test.ts"] : ["test/**/*.test.ts"],
    exclude: process.env["TEST_SERVERS"] === "1" ? [] : ["test/servers/**"],
    environment: "node",
    // Forks, not threads: tests start servers, open SQLite and measure the process.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    teardownTimeout: 10_000,
    reporters: resultsFile === undefined ? ["default"] : ["default", "json"],
    ...(resultsFile === undefined ? {} : { outputFile: { json: resultsFile } }),
  },
});
