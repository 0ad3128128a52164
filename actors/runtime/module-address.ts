import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CxmindError } from '../../src/errors.ts';

/** The scheme of addresses within this package. */
const scheme = 'cxmind:';

/** `.ts` in the sources, `.js` in `dist`. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Where the rooms of this package lie: the checkout, or its `dist`. */
const root = new URL('../../', import.meta.url).href;

/** A module of the runtime that something starts by its file. */
export function entryModule(name: string): URL {
  return new URL(`./${name}${extension}`, import.meta.url);
}

/**
 * What to call a module so that a process of another host finds it: a module of this package by its place in the
 * package, which may be installed elsewhere there, any other by its file URL.
 */
export function addressOfModule(module: URL): string {
  const { href } = module;
  return href.startsWith(root) ? `${scheme}${href.slice(root.length)}` : href;
}

/**
 * The module as it exists here: a package built to `dist` has `.js` where the sources say `.ts`.
 *
 * @param address what `addressOfModule` gave, here or on another host
 * @throws WIRE_INVALID for anything but a file: code itself never comes in an address
 */
export function moduleAt(address: string): URL {
  const isOurs = address.startsWith(scheme);
  const module = isOurs ? URL.parse(address.slice(scheme.length), root) : URL.parse(address);
  if (module?.protocol !== 'file:' || (isOurs && !module.href.startsWith(root))) {
    throw new CxmindError('WIRE_INVALID', `module ${address} is not a file`);
  }
  const [name] = module.href.split(/\.[tj]s$/);
  const candidates = [module, new URL(`${name!}${extension}`), new URL(`${name!}.js`)];
  return candidates.find((each) => existsSync(fileURLToPath(each))) ?? module;
}
