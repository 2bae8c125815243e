import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

it.for([
  ["versitygw", "storage-s3", /versity\/versitygw:v([\d.]+)/],
  ["fake-gcs-server", "storage-gcs", /fsouza\/fake-gcs-server:([\d.]+)/],
] as const)("compose.yaml has the version of %s that the tests run against", ([name, suite, image]) => {
  const tested = new RegExp(`${name}@v([\\d.]+)`).exec(read(`.ci/suites/${suite}.sh`))?.[1];
  expect(tested).toMatch(/^\d+\.\d+\.\d+$/);
  expect(image.exec(read("compose.yaml"))?.[1]).toBe(tested);
});
