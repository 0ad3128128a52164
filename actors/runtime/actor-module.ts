/**
 * Modules by name: an actor's module is named so that every host finds it, and the factory that it exports is imported
 * where the actor is to run.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CxmindError } from '../../src/errors.ts';
import type { Actor, ActorFactory, Environment } from './actor.ts';
import type { Protocol } from './protocol.ts';

/** Scheme of addresses within this package. */
const scheme = 'cxmind:';

/** `.ts` in the sources, `.js` in `dist`. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Folder of this package's rooms: the checkout, or its `dist`. */
const root = new URL('../../', import.meta.url).href;

/** Finds a module of the runtime that is started by its file. */
export function entryModule(name: string): URL {
  return new URL(`./${name}${extension}`, import.meta.url);
}

/**
 * Names a module so that a process of another host finds it.
 *
 * A module of this package is named by its place in the package, which may be installed elsewhere there. Any other is
 * named by its file URL.
 */
export function addressOfModule(module: URL): string {
  const { href } = module;
  return href.startsWith(root) ? `${scheme}${href.slice(root.length)}` : href;
}

/**
 * Finds the module of an address in this process. A package built to `dist` has `.js` where the sources say `.ts`.
 *
 * @param address made by `addressOfModule`, here or on another host
 * @throws WIRE_INVALID for anything but a file, since an address must never carry code
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

/** Place of a factory, and the protocol of the actors it must make. */
export interface FactoryAddress {
  readonly protocolName: string;
  /** URL of the module that exports the factory. */
  readonly module: string;
  /** Name of the export. */
  readonly create: string;
}

/**
 * Makes an actor by the factory of a module.
 *
 * @throws INTERNAL for a module without that factory, and whatever the module or the factory throws
 */
export async function makeAt(
  { module, create, protocolName }: FactoryAddress,
  props: unknown,
  environment: Environment,
): Promise<{ protocol: Protocol; actor: Actor<Protocol> }> {
  const exports = (await import(module)) as Readonly<
    Record<string, Partial<ActorFactory<Protocol, unknown>> | undefined>
  >;
  const factory = exports[create];
  if (typeof factory?.create !== 'function' || factory.protocol?.name !== protocolName) {
    throw new CxmindError(
      'INTERNAL',
      `${module} exports no factory '${create}' of the protocol ${protocolName}`,
    );
  }
  return { protocol: factory.protocol, actor: await factory.create(props, environment) };
}
