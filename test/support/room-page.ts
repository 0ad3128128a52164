/**
 * Claims of a room's page, as far as a test can check them.
 *
 * A page names in one sentence, "It may import …", the rooms that its files import. `src/data` names one room, `src` all
 * rooms of the folder. "the ground" stands for the rooms at the bottom, which the architecture test lists. Its first
 * drawing names files of the room by their bare names, and others by paths.
 */

/** Rooms that a page's sentence on imports names; undefined where it has no such sentence. */
export function importsSaid(page: string): string[] | undefined {
  const [, said] = /\bIt\s+may\s+import\s([^]*?)\.(?=\s)/.exec(page) ?? [];
  if (said === undefined) return undefined;
  const named = [...said.matchAll(/`([^`]+)`/g)].map(([, room]) => room!);
  return /the\s+ground/.test(said) ? [...named, 'the ground'] : named;
}

/** Files that a page's first drawing names without a folder. */
export function filesDrawn(page: string): string[] {
  const [, drawing = ''] = /^```\n([^]*?)^```$/m.exec(page) ?? [];
  return [...drawing.matchAll(/(?<![\w./>-])[\w-]+\.(?:ts|py)\b/g)].map(([name]) => name);
}

/** A room, and what is true of it. */
export interface Room {
  readonly name: string;
  /** Names of all files in it, those in folders too. */
  readonly files: ReadonlySet<string>;
  /** Rooms that its files import. */
  readonly imports: Iterable<string>;
  /** Rooms that it may import. */
  readonly mayImport: readonly string[];
}

/** Claims of a room's page that are wrong, one line each. */
export function wrongClaims(page: string, room: Room, ground: readonly string[]): string[] {
  const { name, files, imports, mayImport } = room;
  const said = importsSaid(page);
  if (said === undefined) return [`${name}: no sentence that begins "It may import"`];
  const covers = (target: string): boolean =>
    ground.includes(target)
      ? said.includes('the ground') || said.includes('src') || said.includes(target)
      : said.some((each) => each === target || target.startsWith(`${each}/`));
  const unsaid = [...imports].filter((target) => !covers(target));
  const forbidden = said.filter((each) => each.includes('/') && !mayImport.includes(each));
  const gone = filesDrawn(page).filter((file) => !files.has(file));
  return [
    ...unsaid.map((target) => `${name}: imports ${target}, which its page does not say`),
    ...forbidden.map((target) => `${name}: may not import ${target}, as its page says`),
    ...gone.map((file) => `${name}: its drawing has ${file}, which is not there`),
  ];
}
