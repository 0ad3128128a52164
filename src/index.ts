// The public door: everything that a pipeline outside this package may build on.

// Configs and errors
export { Config, defaults } from './config/schema.ts';
export { configFrom, loadConfig } from './config/load.ts';
export type { LoadedConfig, LoadOptions } from './config/load.ts';
export type { Purpose } from './config/files.ts';
export type { Issue } from './config/issues.ts';
export { asCxmindError, CxmindError } from './errors.ts';
export type { ErrorCode, ErrorDetail } from './errors.ts';
export { createLogger } from './log.ts';
export type { Log, Logger, LogLevel } from './log.ts';

// Runs
export { trainPolicy } from '../actors/trainer/run.ts';
export type { RunOptions } from '../actors/trainer/run.ts';
export type { RunSummary } from '../actors/trainer/run-files.ts';
export { trainSupervised } from '../actors/trainer/warm-start.ts';
export type { SupervisedSummary } from '../actors/trainer/warm-start.ts';
export { silentReporter } from '../actors/trainer/reporter.ts';
export type { Phase, Reporter, StepLine } from '../actors/trainer/reporter.ts';

// Actors
export { actorFactory } from '../actors/runtime/actor.ts';
export type { Actor, ActorFactory, Context, Environment } from '../actors/runtime/actor.ts';
export { call, protocol } from '../actors/runtime/protocol.ts';
export type { Call, Protocol, ReplyOf, RequestOf } from '../actors/runtime/protocol.ts';
export { ActorSystem } from '../actors/runtime/system.ts';
export type { LocalActor, PropsOf, ThreadActor } from '../actors/runtime/system.ts';
export type { ActorRef, AskOptions } from '../actors/runtime/ref.ts';
export type { Supervision } from '../actors/runtime/supervisor.ts';
export { tensor } from '../transport/tensor-codec.ts';

// Rewards and algorithms
export type { Reward, RewardInput, RewardParts } from './reward/reward.ts';
export type { BatchRewardFunction, SequentialRewardFunction } from './reward/user-function.ts';
export { builtInRewards, resolveReward } from './reward/registry.ts';
export { gateStep, initialGateState } from './reward/gate.ts';
export type { GateSpec, GateState, GateStep } from './reward/gate.ts';
export { advantageEstimators, groupRelativeAdvantage } from './algorithms/advantage.ts';
export type { AdvantageEstimate, AdvantageInput } from './algorithms/advantage.ts';

// Models
export { loadCheckpoint, saveCheckpoint } from './model/checkpoint.ts';
export type { LoadedCheckpoint } from './model/checkpoint.ts';
export { Arena } from './model/arena.ts';
export type { ArenaLayout } from './model/arena.ts';
export { Policy } from './model/policy.ts';
export type { PolicyOptions } from './model/policy.ts';
export type { Grid, PackedBatch } from './model/batch.ts';
export { packPrompts, packSequences } from './model/pack.ts';
export type { PromptInput, SequenceInput } from './model/pack.ts';
export { GenerationEngine } from './generation/engine.ts';
export type { EngineOptions, GenerationRequest, Response } from './generation/engine.ts';
export type { Sampling } from './generation/sampling.ts';

// Graphs and tensors
export { GraphBuilder } from './graph/builder.ts';
export { differentiate } from './graph/backward.ts';
export type { DifferentiateOptions, ForwardAndBackward } from './graph/backward.ts';
export type { Dim, Graph, Node, Value } from './graph/ir.ts';
export { encode } from './graph/encode.ts';
export { interpret } from './graph/interpret.ts';
export { print } from './graph/print.ts';
export { Runtime } from './ort/runtime.ts';
export type { RuntimeOptions } from './ort/runtime.ts';
export type { Session } from './ort/session.ts';
export type { Binding } from './ort/binding.ts';
export { bf16ToNumber, bytesPerElement, numberToBf16 } from './tensor/dtype.ts';
export type { DType, TypedArrays } from './tensor/dtype.ts';
export { reshaped, rows, sizeOf, tensorOf, zeros } from './tensor/tensor.ts';
export type { Tensor } from './tensor/tensor.ts';
export { keyOf, Rng } from './rng.ts';
export type { RngState } from './rng.ts';
