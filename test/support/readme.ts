import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The README as it stands. */
export const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

/** A fenced block of Markdown. */
export interface CodeBlock {
  /** The word behind the opening fence; empty where there is none. */
  readonly language: string;
  readonly text: string;
  /** Heading of the section that it stands in. */
  readonly section: string;
}

/** Every fenced block of a page, from top to bottom. */
export function codeBlocks(page = readme): CodeBlock[] {
  let section = '';
  const blocks: CodeBlock[] = [];
  for (const { groups } of page.matchAll(
    /^(?:#+ (?<heading>.+)|```(?<language>\w*)\n(?<text>[^]*?)^```)$/gm,
  )) {
    const { heading, language, text } = groups!;
    if (heading !== undefined) section = heading;
    else blocks.push({ section, language: language!, text: text! });
  }
  return blocks;
}

/** The text of the blocks in a language, by the section they stand in. */
export function blocksOf(language: string): Map<string, string> {
  const blocks = codeBlocks().filter((block) => block.language === language);
  return new Map(blocks.map(({ section, text }) => [section, text]));
}
