// The function that `npm run build:lambda` bundles and lambda/template.yaml deploys: it stands in front of nodes.

import { frontHandler } from "../src/runtimes/lambda/index.ts";

export const handler = frontHandler(process.env);
