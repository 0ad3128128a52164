import { readFileSync } from 'node:fs';
import { registerHooks, type LoadHookSync } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Extensions of files that may be ES modules or CommonJS. */
const AMBIGUOUS = ['.ts', '.js', '.cts', '.cjs'];

const BLOCK_COMMENTS = /\/\*[^]*?\*\//g;
/** Statement at the beginning of a line that only an ES module can have. */
const MODULE_STATEMENT = /^[ \t]*(?:export|import)\b(?![ \t]*[(.=:])/m;

/** Load hook by which a file's own statements decide its module format. */
const asWritten: LoadHookSync = (url, context, next) => {
  const isOurs = url.startsWith('file:') && !url.includes('/node_modules/');
  const extension = isOurs ? extname(new URL(url).pathname) : '';
  if (!AMBIGUOUS.includes(extension)) return next(url, context);
  const text = readFileSync(fileURLToPath(url), 'utf8').replace(BLOCK_COMMENTS, '');
  if (!MODULE_STATEMENT.test(text)) return next(url, context);
  return next(url, {
    ...context,
    format: extension.endsWith('ts') ? 'module-typescript' : 'module',
  });
};

/**
 * Imports a user's JavaScript or TypeScript file and its own imports.
 *
 * A file with `import` or `export` statements is an ES module, whatever the package.json around it says. That file is
 * not about rewards, and `npm init` writes `"type": "commonjs"`.
 */
export async function importFile(path: string): Promise<Record<string, unknown>> {
  const hooks = registerHooks({ load: asWritten });
  try {
    const exported = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    // For CommonJS, Node lists as named exports only what it finds without running the file.
    return (exported['module.exports'] ?? exported) as Record<string, unknown>;
  } finally {
    hooks.deregister();
  }
}
