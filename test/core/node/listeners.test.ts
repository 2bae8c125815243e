import { expect, test } from "vitest";
import { Listeners } from "../../../src/core/node/listeners.ts";

test("who goes and comes again while it is told is told once", () => {
  const listeners = new Listeners<number>();
  const heard: number[] = [];
  const listen = (): void => {
    const stop = listeners.add((value) => {
      // More than this and the test would never end.
      if (heard.push(value) < 10) {
        stop();
        listen();
      }
    });
  };
  listen();
  listeners.emit(1);
  listeners.emit(2);
  expect(heard).toEqual([1, 2]);
});

test("who was stopped by another while both were to be told hears nothing", () => {
  const listeners = new Listeners<number>();
  const heard: string[] = [];
  const stops: (() => void)[] = [];
  for (const name of ["first", "second"])
    stops.push(
      listeners.add(() => {
        heard.push(name);
        for (const stop of stops) stop();
      }),
    );
  listeners.emit(1);
  expect(heard).toEqual(["first"]);
});
