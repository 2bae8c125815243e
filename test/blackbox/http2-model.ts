// Random frames against a model of RFC 9113, for as long as there is time; see test/runtimes/node/grpc/model.
//
//   node test/blackbox/http2-model.ts --seconds=40 [--seed=N]

import { explore } from "../runtimes/node/grpc/model/explore.ts";
import { program } from "./support/program.ts";

await program("http2-model", 200, async (run) => {
  const seconds = Number(run.option("seconds") ?? 40);
  const numRuns = Number(run.option("runs") ?? 1_000_000);
  const { runs, nothing, stream, connection } = await explore({
    seed: run.seed,
    numRuns,
    interruptAfterTimeLimit: 1000 * seconds,
  });
  run.observe(`${runs} connections; ${nothing} frames were within the rules`);
  run.observe(
    `${stream} were answered with the end of their stream, ${connection} with that of the connection`,
  );
  run.require(Math.min(nothing, stream, connection) > 100, "every way to answer was seen often");
});
