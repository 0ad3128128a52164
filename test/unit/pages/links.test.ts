/**
 * Claims of Markdown pages about the files of the project.
 *
 * A relative link leads to a file or a folder of the project, and its anchor to a heading. A source file that a room's
 * page names, in a drawing too, is there: `ahead/batch-source.ts` is the end of some file's path.
 *
 * Anchors are those that GitHub gives to headings: lower case, without punctuation, a hyphen for each space, and a number
 * behind one that was there before. Links in code are not links.
 *
 * @see https://docs.github.com/en/get-started/writing-on-github (section links), and the CommonMark specification, 6.3
 */
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { join, posix } from 'node:path';
import { pages as allPages, projectRoot as root } from '../../support/pages.ts';

/** A page without its fenced blocks. */
function prose(text: string): string {
  return text.replace(/^( *)(```+|~~~+)[^]*?^\1\2.*$/gm, '');
}

/** Targets of a page's links and pictures, in the text and in definitions of references, that lead to no other host. */
function relativeLinks(text: string): string[] {
  const shown = prose(text).replace(/(`+)[^]*?[^`]\1(?!`)/g, 'code');
  const inText = shown.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g);
  const defined = shown.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm);
  const all = [...inText, ...defined].map(([, target]) => target!);
  return all.filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));
}

/** Anchors of a page's headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(text).matchAll(/^ {0,3}#{1,6} +(.+?)(?: +#+)? *$/gm)) {
    const shown = heading!.replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1');
    const plain = shown.toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '');
    const anchor = plain.replaceAll(' ', '-');
    let unique = anchor;
    for (let i = 1; anchors.has(unique); i++) unique = `${anchor}-${i}`;
    anchors.add(unique);
  }
  return anchors;
}

/** Links of a page that lead nowhere, each with the reason. */
function brokenLinks(
  page: string,
  pages: ReadonlyMap<string, string>,
  exists: (path: string) => boolean,
): string[] {
  return relativeLinks(pages.get(page)!).flatMap((link) => {
    const [path = '', anchor] = decodeURI(link).split('#');
    const target = path === '' ? page : posix.join(posix.dirname(page), path);
    if (target.startsWith('..')) return [`${link}: outside the project`];
    if (!pages.has(target) && !exists(target)) return [`${link}: no such file`];
    if (anchor === undefined) return [];
    if (!pages.has(target)) return [`${link}: not a Markdown page`];
    return anchorsOf(pages.get(target)!).has(anchor) ? [] : [`${link}: no such heading`];
  });
}

/** Source files that a page names, but for patterns such as `<family>-kernels.ts`. */
function filesNamedIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w./>-])[\w./-]*\w\.ts\b/g)].map(([name]) => name);
}

describe('Markdown pages', () => {
  const pages = allPages();
  const sources = globSync('{src,actors,transport,test,examples}/**/*.ts', { cwd: root });

  for (const page of [...pages.keys()].sort()) {
    it(`link to files and headings that there are, from ${page}`, () => {
      const broken = brokenLinks(page, pages, (path) => existsSync(join(root, path)));
      assert.deepEqual(broken, []);
    });
  }

  // Pages for users have files of theirs.
  const forReaders = /^(README|examples\/[^/]*|configs\/README)\.md$/;
  for (const page of [...pages.keys()].filter((path) => !forReaders.test(path)).sort()) {
    it(`name source files that there are, in ${page}`, () => {
      const gone = filesNamedIn(pages.get(page)!).filter((name) => {
        const end = `/${name.replace(/^(\.{1,2}\/)+/, '')}`;
        return !sources.some((path) => `/${path}`.endsWith(end));
      });
      assert.deepEqual(gone, []);
    });
  }

  it('show the files that they name', () => {
    const text =
      'step.ts ── `ahead/a-b.ts`, [x](../y.gpu.ts), `<family>-kernels.ts`, a.tsx, (z.ts).';
    assert.deepEqual(filesNamedIn(text), ['step.ts', 'ahead/a-b.ts', '../y.gpu.ts', 'z.ts']);
  });

  it('show their broken links and anchors', () => {
    const text = [
      '# A `page` of [rooms](b.md): its 2_names',
      '## Twice\n## Twice',
      '[a](b.md), [b](../b.md "title"), [c](#a-page-of-rooms-its-2_names), [d](c.md#twice-1)',
      '![e](gone.png) [f](#twice-2) [g](../../x.md) [h](file.ts#L1) [i][r]',
      '[r]: gone.md',
      'Code has none: `[x](gone)`, ``[`](gone)``.\n```md\n[x](gone)\n# Gone\n```\n[j](#gone)',
      '[k](https://example.org/gone) [l](mailto:a@example.org)',
    ].join('\n');
    const given = new Map([
      ['room/a.md', text],
      ['room/b.md', ''],
      ['room/c.md', text],
      ['b.md', ''],
    ]);
    assert.deepEqual(
      brokenLinks('room/a.md', given, (path) => path === 'room/file.ts'),
      [
        'gone.png: no such file',
        '#twice-2: no such heading',
        '../../x.md: outside the project',
        'file.ts#L1: not a Markdown page',
        '#gone: no such heading',
        'gone.md: no such file',
      ],
    );
  });
});
