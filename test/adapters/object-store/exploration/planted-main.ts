// Plants each bug and runs seeds until it is found. Arguments: --only NAMES, --seeds N.

import { huntPlanted } from "../../../sim/hunt-planted.ts";
import { PLANTED } from "./planted.ts";

await huntPlanted(PLANTED, new URL("main.ts", import.meta.url), 8000);
