import { stringify } from 'yaml';

/** A plain tree as YAML: keys in alphabetical order, two spaces a level, no line feed at the end. */
export function toYaml(tree: Readonly<Record<string, unknown>>): string {
  return stringify(tree, { sortMapEntries: true, lineWidth: 0 }).trimEnd();
}
