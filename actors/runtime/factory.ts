import { CxmindError } from '../../src/errors.ts';
import type { ActorFactory } from './actor.ts';
import type { Protocol } from './protocol.ts';

/** Where a factory is, and what it must make. */
export interface FactoryAddress {
  readonly protocolName: string;
  /** URL of the module that exports the factory. */
  readonly module: string;
  /** Name of the export. */
  readonly create: string;
}

/** @throws INTERNAL for a module without that factory, and whatever the module throws */
export async function importFactory({
  module,
  create,
  protocolName,
}: FactoryAddress): Promise<ActorFactory<Protocol, unknown>> {
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
  return factory as ActorFactory<Protocol, unknown>;
}
