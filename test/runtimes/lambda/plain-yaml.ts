/*
 * As much of YAML as lambda/template.yaml uses: mappings and sequences by indentation, one-line lists, plain and
 * double-quoted texts, comments in lines of their own. Anything else is refused.
 */

export type Plain = string | readonly Plain[] | { readonly [key: string]: Plain };

interface Line {
  readonly number: number;
  readonly indent: number;
  readonly text: string;
}

export function parsePlainYaml(text: string): Plain {
  const lines = text.split("\n").flatMap((line, i): Line[] => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    if (line.includes("\t")) throw new Error(`line ${i + 1}: a tab`);
    return [{ number: i + 1, indent: line.length - line.trimStart().length, text: trimmed }];
  });
  const [value, next] = block(lines, 0, 0);
  const rest = lines[next];
  if (rest !== undefined) throw new Error(`line ${rest.number}: unexpected indentation`);
  return value;
}

/** What stands from line `at` on with exactly this indentation, and the first line after it. */
function block(lines: readonly Line[], at: number, indent: number): [Plain, number] {
  return lines[at]?.text.startsWith("- ") === true ? sequence(lines, at, indent) : mapping(lines, at, indent);
}

function sequence(lines: readonly Line[], at: number, indent: number): [Plain, number] {
  const items: Plain[] = [];
  let next = at;
  for (let line = lines[next]; line?.indent === indent && line.text.startsWith("- "); line = lines[next]) {
    const inner = { ...line, indent: indent + 2, text: line.text.slice(2) };
    if (/^[\w:]+:(?: |$)/.test(inner.text)) {
      const [item, after] = mapping(
        [...lines.slice(0, next), inner, ...lines.slice(next + 1)],
        next,
        indent + 2,
      );
      items.push(item);
      next = after;
    } else {
      items.push(scalar(inner));
      next++;
    }
  }
  return [items, next];
}

function mapping(lines: readonly Line[], at: number, indent: number): [Plain, number] {
  const entries: Record<string, Plain> = {};
  let next = at;
  for (let line = lines[next]; line?.indent === indent; line = lines[next]) {
    const [, key, rest] = /^([\w:]+):(?: (.*))?$/.exec(line.text) ?? [];
    if (key === undefined) throw new Error(`line ${line.number}: ${line.text}`);
    if (Object.hasOwn(entries, key)) throw new Error(`line ${line.number}: ${key} is there twice`);
    if (rest !== undefined) {
      entries[key] = scalar({ ...line, text: rest });
      next++;
      continue;
    }
    const first = lines[next + 1];
    if (first === undefined || first.indent <= indent)
      throw new Error(`line ${line.number}: nothing below ${key}`);
    [entries[key], next] = block(lines, next + 1, first.indent);
  }
  return [entries, next];
}

function scalar({ number, text }: Line): Plain {
  if (text.startsWith('"')) return JSON.parse(text) as string;
  if (text.startsWith("[") && text.endsWith("]")) {
    return text
      .slice(1, -1)
      .split(",")
      .map((item) => scalar({ number, indent: 0, text: item.trim() }));
  }
  // What has a meaning of its own in YAML.
  if (/^[&*!|>{}[\]%@`'#-]|: | #/.test(text)) throw new Error(`line ${number}: ${text}`);
  return text;
}
