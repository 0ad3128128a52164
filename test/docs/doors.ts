/**
 * The index of the package's two entry points in Markdown: every export with the first sentence of its docstring.
 *
 * It reads the text of the sources, whose layout the formatter fixes: a docstring ends on the line above its declaration.
 * Members and signatures are on the pages that typedoc writes.
 */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { projectRoot } from '../support/pages.ts';

/** Files of the entry points, by the names that users import. */
const doors = { cxmind: 'src/index.ts', 'cxmind/actors': 'actors/index.ts' } as const;

/** A heading in the file of an entry point, and the exports under it. */
interface Section {
  readonly heading: string;
  readonly exports: readonly Exported[];
}

/** A name that an entry point exports. */
interface Exported {
  readonly name: string;
  /** File that declares it, from the project's root. */
  readonly file: string;
}

/** Both entry points: a table of exports for each heading of their files. */
export function doorsReference(): string {
  return Object.entries(doors)
    .map(([name, file]) => [`## ${name}`, ...sectionsOf(file).map(shown)].join('\n\n'))
    .join('\n\n');
}

function shown({ heading, exports }: Section): string {
  const rows = exports.map(({ name, file }) => {
    const says = firstSentence(docstringOf(name, readFileSync(join(projectRoot, file), 'utf8')));
    return `| [\`${name}\`](../${file}) | ${says.replaceAll('|', '\\|')} |`;
  });
  return [`### ${heading}`, ['| export | |', '| --- | --- |', ...rows].join('\n')].join('\n\n');
}

/** Exports of an entry point, under the comments in its file that are their headings. */
function sectionsOf(door: string): Section[] {
  const [, ...parts] = readFileSync(join(projectRoot, door), 'utf8').split(/\n\n(?=\/\/ )/);
  return parts.map((part) => ({
    heading: /^\/\/ (.*)/.exec(part)![1]!,
    exports: namesIn(part, door),
  }));
}

function namesIn(part: string, door: string): Exported[] {
  return [...part.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']*)';$/gm)]
    .flatMap(([, names, from]) => {
      const file = posix.join(posix.dirname(door), from!);
      return names!.split(',').map((name) => ({ name: name.trim(), file }));
    })
    .filter(({ name }) => name !== '');
}

/**
 * Docstring of a declaration, without its stars.
 *
 * @throws for a declaration without one: a public export says what it is
 */
function docstringOf(name: string, source: string): string {
  const declared = `export (?:declare )?(?:abstract )?(?:async )?(?:function\\*?|class|interface|type|const) ${name}\\b`;
  const found = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\n${declared}`).exec(source);
  if (found === null) throw new Error(`${name} is exported to users without a docstring`);
  return found[1]!.replace(/^ *\*? ?/gm, '').trim();
}

/** First sentence of a docstring, on one line. */
function firstSentence(docstring: string): string {
  const [paragraph = ''] = docstring.split('\n\n');
  const line = paragraph.replaceAll('\n', ' ').trim();
  return /^.*?\.(?= |$)/.exec(line)?.[0] ?? line;
}
