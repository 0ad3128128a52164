// The public door to actors: a runtime for one's own, and the runs that the commands start. The engine is `cxmind`.

// One's own actors
export { actorFactory, fatal } from './runtime/actor.ts';
export type {
  Actor,
  ActorEvent,
  ActorFactory,
  Context,
  Environment,
  Logger,
} from './runtime/actor.ts';
export { call, protocol, stream } from './runtime/protocol.ts';
export type {
  Call,
  Calls,
  ItemOf,
  MethodOf,
  Protocol,
  ReplyOf,
  RequestOf,
  Stream,
  StreamOf,
} from './runtime/protocol.ts';
export { tensor } from '../transport/tensor-codec.ts';

// Running them
export { ActorSystem } from './runtime/system.ts';
export type { LocalActor, PropsOf, SystemOptions, ThreadActor } from './runtime/system.ts';
export type { ProcessOptions } from './runtime/nodes/child-nodes.ts';
export { NodeHost } from './runtime/nodes/node.ts';
export type { Claims, NodeOptions, Place, Resources } from './runtime/placement.ts';
export type { SharedMarker, WithSharedBlocks } from './runtime/shared-blocks.ts';

export type {
  ActorRef,
  ActorStatus,
  Ask,
  AskOptions,
  StreamOptions,
  Streams,
  Tell,
} from './runtime/ref.ts';
export type { Supervision } from './runtime/supervisor.ts';
export { askAny, gather, gatherSettled, leastBusy } from './runtime/pool.ts';

// Roles of a run, for pipelines of one's own
export { rewardSpec } from './reward/spec.ts';

// Runs
export { trainPolicy } from './trainer/run.ts';
export type { RunOptions, TrainingOptions } from './trainer/run.ts';
export type { RunSummary } from './run-folder/files.ts';
export { trainSupervised } from './trainer/warm-start.ts';
export type { SupervisedSummary } from './trainer/warm-start.ts';
export { silentReporter } from './trainer/report/reporter.ts';
export type { Pace, Phase, Reporter, StepLine, SupervisedLine } from './trainer/report/reporter.ts';
