import { readFileSync } from 'node:fs';
import { registerHooks, type LoadHookSync } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Extensions of files that say by their text, not by their name, whether they are ES modules. */
const UNSAID = ['.ts', '.js', '.cts', '.cjs'];

const BLOCK_COMMENTS = /\/\*[^]*?\*\//g;
/** A statement that only an ES module can have, at the beginning of a line. */
const MODULE_STATEMENT = /^[ \t]*(?:export|import)\b(?![ \t]*[(.=:])/m;

const asWritten: LoadHookSync = (url, context, next) => {
  const isOurs = url.startsWith('file:') && !url.includes('/node_modules/');
  const extension = isOurs ? extname(new URL(url).pathname) : '';
  if (!UNSAID.includes(extension)) return next(url, context);
  const text = readFileSync(fileURLToPath(url), 'utf8').replace(BLOCK_COMMENTS, '');
  if (!MODULE_STATEMENT.test(text)) return next(url, context);
  return next(url, {
    ...context,
    format: extension.endsWith('ts') ? 'module-typescript' : 'module',
  });
};

/**
 * Imports a user's JavaScript or TypeScript file, and what that imports.
 *
 * A file with `import` or `export` statements is an ES module, whatever a package.json around it says or leaves
 * unsaid: that file is not about rewards, and `npm init` writes `"type": "commonjs"`.
 */
export async function importFile(path: string): Promise<Record<string, unknown>> {
  const hooks = registerHooks({ load: asWritten });
  try {
    const exported = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    // Of CommonJS, Node sees as exports only what it can tell without running the file.
    return (exported['module.exports'] ?? exported) as Record<string, unknown>;
  } finally {
    hooks.deregister();
  }
}
