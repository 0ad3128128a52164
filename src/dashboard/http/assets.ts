/**
 * The files of the page.
 *
 * In a checkout the page's modules are TypeScript, which is served with its types left out (`module.stripTypeScriptTypes`
 * of Node); in the package they are JavaScript. The page asks for a module as `NAME.js`, and other modules import it by
 * the name of its source, so either name finds the file. Only files that were there at the start are served.
 */
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A file in the form that a browser gets. */
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

/** Lists the files that there are now. @returns a function from a path to its file; undefined where there is none */
export function pageAssets(): (path: string) => Asset | undefined {
  const folder = fileURLToPath(new URL('../page', import.meta.url));
  const own = globSync(PATTERN, { cwd: folder }).map(
    (name) => [`/${name.replaceAll('\\', '/')}`, join(folder, name)] as const,
  );
  const others = Object.entries(library).map(
    ([path, name]) => [path, fileURLToPath(import.meta.resolve(name))] as const,
  );
  const files = new Map([...own, ...others]);
  return (path) => {
    const file = files.get(path === '/' ? '/index.html' : path) ?? files.get(otherName(path));
    if (file === undefined) return undefined;
    const extension = extname(file).slice(1);
    const content = readFileSync(file);
    return {
      type: types[extension]!,
      content: extension === 'ts' ? Buffer.from(withoutTypes(String(content))) : content,
    };
  };
}

/** The other one of a module's two names. */
function otherName(path: string): string {
  return path.replace(/\.(js|ts)$/, (ending) => (ending === '.js' ? '.ts' : '.js'));
}

/** JavaScript of a module, without Node's warning that the function may change: the Node is pinned. */
function withoutTypes(source: string): string {
  const own = Object.getOwnPropertyDescriptor(process, 'emitWarning')!;
  Object.defineProperty(process, 'emitWarning', { ...own, value: () => undefined });
  try {
    return stripTypeScriptTypes(source);
  } finally {
    Object.defineProperty(process, 'emitWarning', own);
  }
}
