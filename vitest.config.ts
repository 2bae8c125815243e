import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

// CI sets CI_RESULTS to the file where it wants machine-readable results; a person gets the plain report.
const resultsFile = process.env["CI_RESULTS"];

/** Tests that run inside workerd, among the objects of test/workerd/main.ts. */
const IN_WORKERD = "test/**/*.workerd.test.ts";

/** Files with a process each: they measure it, change its globals, or ask what has been loaded into it. */
const ALONE = [
  "test/examples.test.ts",
  "test/adapters/object-store/without-sdk.test.ts",
  "test/runtimes/lambda/**/*.test.ts",
  "test/runtimes/node/**/*.test.ts",
];

/** What needs a server of somebody else's, or takes long, is started by .ci/suites, and says so by this variable. */
const WITH_SERVERS = process.env["TEST_SERVERS"] === "1";

/** For what hangs. What merely waits must never come near them, on a machine that does ten other things besides. */
const timeouts = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  teardownTimeout: 10_000,
  expect: { poll: { timeout: 30_000 } },
};

export default defineConfig({
  test: {
    // One more than the processors of the smallest machine: most tests wait more than they work.
    maxWorkers: 3,
    reporters: resultsFile === undefined ? ["default"] : ["default", "json"],
    ...(resultsFile === undefined ? {} : { outputFile: { json: resultsFile } }),
    projects: [
      {
        test: {
          name: "alone",
          include: WITH_SERVERS ? ["test/servers/**/*.test.ts"] : ALONE,
          exclude: [IN_WORKERD],
          environment: "node",
          // Forks, not threads: tests start servers, open SQLite and measure the process.
          pool: "forks",
          ...timeouts,
        },
      },
      {
        test: {
          name: "node",
          include: WITH_SERVERS ? [] : ["test/**/*.test.ts"],
          exclude: [IN_WORKERD, "test/servers/**", ...ALONE],
          environment: "node",
          pool: "forks",
          // Files share processes, and what they import with them: to load half of the tree for each was a fifth of the
          // whole run's CPU time.
          isolate: false,
          ...timeouts,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: "./test/workerd/main.ts",
            miniflare: {
              compatibilityDate: "2026-10-01",
              r2Buckets: ["BUCKET"],
              durableObjects: { STORAGE: { className: "StorageObject", useSQLite: true } },
            },
          }),
        ],
        test: { name: "workerd", include: WITH_SERVERS ? [] : [IN_WORKERD], ...timeouts },
      },
    ],
  },
});
