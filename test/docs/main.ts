/** Writes the generated parts of pages anew: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/pages.ts';
import { generatedPages, regenerated } from './generated.ts';

for (const page of generatedPages) {
  const path = join(projectRoot, page);
  writeFileSync(path, await regenerated(readFileSync(path, 'utf8')));
}
