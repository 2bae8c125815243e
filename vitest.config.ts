import { defineConfig } from "vitest/config";

// CI sets CI_RESULTS to the file where it wants machine-readable results; a person gets the plain report.
const resultsFile = process.env["CI_RESULTS"];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
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
