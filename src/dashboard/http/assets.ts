/**
 * The files of the page.
 *
 * In a checkout the page's modules are TypeScript, which is served with its types left out (`module.stripTypeScriptTypes`
 * of Node); in the package they are JavaScript. A module is asked for as `NAME.js` by the page and as its neighbours name
 * it by these, so either name finds what is there. Only files that were there at the start are served.
 */
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file as a browser gets it. */
export interface Asset {
  readonly type: string;
  readonly content: Buffer;
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  ts: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

const PATTERN = '**/*.{html,css,js,ts,svg}';

/** Files of the chart library, by the name that the page asks for them. */
const library: Readonly<Record<string, string>> = {
  '/uplot.js': 'uplot/dist/uPlot.iife.min.js',
  '/uplot.css': 'uplot/dist/uPlot.min.css',
};

export class Assets {
  /** Paths of files by the path of their URL. */
  readonly #files: ReadonlyMap<string, string>;

  /** @param folder of the page */
  constructor(folder = fileURLToPath(new URL('../page', import.meta.url))) {
    const own = globSync(PATTERN, { cwd: folder }).map(
      (name) => [`/${name.replaceAll('\\', '/')}`, join(folder, name)] as const,
    );
    const others = Object.entries(library).map(
      ([path, name]) => [path, fileURLToPath(import.meta.resolve(name))] as const,
    );
    this.#files = new Map([...own, ...others]);
  }

  /** The file of a path; undefined where there is none. */
  of(path: string): Asset | undefined {
    const file = this.#files.get(path === '/' ? '/index.html' : path) ?? this.#module(path);
    if (file === undefined) return undefined;
    const extension = extname(file).slice(1);
    const content = readFileSync(file);
    return {
      type: types[extension]!,
      content: extension === 'ts' ? Buffer.from(withoutTypes(String(content))) : content,
    };
  }

  /** A module by the other one of its two names. */
  #module(path: string): string | undefined {
    const [, name, extension] = /^(.+)\.(js|ts)$/.exec(path) ?? [];
    return this.#files.get(`${name}.${extension === 'js' ? 'ts' : 'js'}`);
  }
}

/** JavaScript of a module. Node's warning that the function may change is for us, and the Node is pinned. */
function withoutTypes(source: string): string {
  const own = Object.getOwnPropertyDescriptor(process, 'emitWarning')!;
  Object.defineProperty(process, 'emitWarning', { ...own, value: () => undefined });
  try {
    return stripTypeScriptTypes(source);
  } finally {
    Object.defineProperty(process, 'emitWarning', own);
  }
}
