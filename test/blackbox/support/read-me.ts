import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./installed-package.ts";

/** Something in the README that can be run. */
export type Step =
  | { readonly type: "command"; readonly line: number; readonly command: string; readonly printed: string }
  /** `<!-- run: ... -->`: what readers do by hand. */
  | { readonly type: "directive"; readonly line: number; readonly text: string }
  | { readonly type: "program"; readonly line: number; readonly source: string };

/** The commands of all `console` blocks with what they print, the programs of all `ts` blocks, and the directives. */
export function readmeSteps(): Step[] {
  const steps: Step[] = [];
  const lines = readFileSync(join(REPOSITORY, "README.md"), "utf8").split("\n");
  for (let i = 0; i < lines.length; i++) {
    const directive = /^<!-- run: (.*) -->$/.exec(lines[i]!)?.[1];
    if (directive !== undefined) steps.push({ type: "directive", line: i + 1, text: directive });
    const language = /^```(\w+)$/.exec(lines[i]!)?.[1];
    if (language === undefined) continue;
    const begin = i + 1;
    i = lines.indexOf("```", begin);
    if (i === -1) throw new Error(`README.md:${begin}: the block does not end`);
    const block = lines.slice(begin, i);
    if (language === "ts") steps.push({ type: "program", line: begin + 1, source: block.join("\n") });
    if (language === "console") steps.push(...commandsOf(block, begin + 1));
  }
  return steps;
}

function commandsOf(block: readonly string[], firstLine: number): Step[] {
  const steps: { type: "command"; line: number; command: string; printed: string }[] = [];
  block.forEach((text, i) => {
    if (text.startsWith("$ ")) {
      steps.push({ type: "command", line: firstLine + i, command: text.slice(2), printed: "" });
    } else {
      const last = steps.at(-1);
      if (last === undefined)
        throw new Error(`README.md:${firstLine}: the block does not begin with a command`);
      last.printed += `${text}\n`;
    }
  });
  return steps;
}

/** Whether a text is what the README shows: `…` stands for anything on a line, and spaces for any number of them. */
export function looksLike(shown: string, text: string): boolean {
  const pattern = squeezed(shown)
    .split("…")
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${pattern}$`).test(squeezed(text));
}

function squeezed(text: string): string {
  return text
    .split("\n")
    .map((line) => line.replaceAll(/ +/g, " ").trimEnd())
    .join("\n")
    .trim();
}
