/**
 * The Markdown pages of the project, and the code that stands in them.
 *
 * A fenced block in a language is code, and tests run it. One without a language, in `text` or in `mermaid` is a drawing
 * or an output. Code that no test can try has a mark on the line above it, which says why: `<!-- not run: it is half a
 * file -->`. Commands that a test can only read say what running them needs: `<!-- needs: an NVIDIA card -->`.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** Folder of the project. */
export const projectRoot = join(import.meta.dirname, '../..');

/** Folders that hold no page of the project. */
const notOurs = ['node_modules', 'dist', 'runs', 'api'];

/** Text of every page by its path from the root. Globs leave hidden folders out, unless they name them. */
export function pages(): ReadonlyMap<string, string> {
  const found = globSync(['**/*.md', '.github/**/*.md'], {
    cwd: projectRoot,
    exclude: (path) => notOurs.includes(posix.basename(path)),
  });
  return new Map(found.sort().map((page) => [page, pageText(page)]));
}

/** Text of one page, by its path from the root. */
export function pageText(page: string): string {
  return readFileSync(join(projectRoot, page), 'utf8');
}

/** A fenced block of Markdown. */
export interface CodeBlock {
  /** The word behind the opening fence; empty where there is none. */
  readonly language: string;
  readonly text: string;
  /** Heading of the section that it stands in. */
  readonly section: string;
  /** Reason why no test runs it, by the mark above it; null where there is no mark. */
  readonly notRun: string | null;
  /** Need of running it that tests cannot meet, by the mark above it; null where there is no mark. */
  readonly needs: string | null;
}

/** Every fenced block of a page's text, from top to bottom. */
export function codeBlocks(text: string): CodeBlock[] {
  let section = '';
  const blocks: CodeBlock[] = [];
  for (const { groups } of text.matchAll(
    /^(?:#+ (?<heading>.+)|(?:<!-- (?:not run: (?<reason>.*)|needs: (?<needs>.*)) -->\n)?```(?<language>\w*)\n(?<code>[^]*?)^```)$/gm,
  )) {
    const { heading, reason = null, needs = null, language, code } = groups!;
    if (heading !== undefined) section = heading;
    else blocks.push({ section, language: language!, text: code!, notRun: reason, needs });
  }
  return blocks;
}

/** Text of the one block in a language that a section of a page has. @throws where there is none, or another one */
export function blockOf(page: string, language: string, section: string): string {
  const all = codeBlocks(pageText(page)).filter(
    (block) => block.section === section && block.language === language,
  );
  if (all.length === 1) return all[0]!.text;
  throw new Error(`${page} has ${all.length} blocks of ${language} under ${section}`);
}

/** Shell commands, each as its words: quotes are taken off, continued lines joined, comments left out. */
export function commandsIn(script: string): string[][] {
  return script
    .replaceAll('\\\n', ' ')
    .split(/\n|&&/)
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .map((line) =>
      [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare!),
    )
    .filter((words) => words.length > 0);
}

/**
 * Items and flags of the one call of a command of cxmind that a page's shell blocks have.
 *
 * @throws where there is another number
 */
export function callOf(page: string, command: string): string[] {
  const calls = codeBlocks(pageText(page))
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => commandsIn(text))
    .filter(([npx, program, name]) => npx === 'npx' && program === 'cxmind' && name === command);
  if (calls.length === 1) return calls[0]!.slice(3);
  throw new Error(`${page} has ${calls.length} calls of ${command}`);
}
