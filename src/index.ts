// The public door to the engine: everything that a pipeline outside this package may build on.
// Actors and whole runs are behind the door beside it, `cxmind/actors`.

// Configs and errors
export { Config, defaults } from './config/schema.ts';
export { configFrom } from './config/load.ts';
export type { LoadedConfig, LoadOptions } from './config/load.ts';
export type { Purpose } from './config/files.ts';
export type { Issue } from './check/issues.ts';
export { asCxmindError, CxmindError } from './errors.ts';
export type { ErrorCode, ErrorDetail } from './errors.ts';
export { createLogger } from './log.ts';
export type { Log, Logger, LogLevel } from './log.ts';

// Rewards and algorithms
export type { AnsweredText, Reward, RewardInput, RewardParts } from './reward/reward.ts';
export type { BatchRewardFunction, SequentialRewardFunction } from './reward/user-function.ts';
export { builtInReward, builtInRewards, resolveReward } from './reward/registry.ts';
export type {
  Environment,
  EnvironmentFunction,
  EnvironmentReply,
  EpisodeMessage,
  EpisodeStart,
  PolicyMessage,
  ShownMessage,
} from './environment/environment.ts';
export type { ToolCall } from './environment/tool-calls.ts';
export type { Tool } from './text/chat-template.ts';
export { gateStep, initialGateState } from './reward/gate.ts';
export type { GateSpec, GateState, GateStep } from './reward/gate.ts';
export { advantageEstimators, groupRelativeAdvantage } from './algorithms/advantage.ts';
export type { AdvantageEstimate, AdvantageInput } from './algorithms/advantage.ts';
export { estimateKl } from './algorithms/kl.ts';
export type { KlEstimate, KlKind } from './algorithms/kl.ts';
export { policyLoss } from './algorithms/policy-loss.ts';
export type {
  PolicyLoss,
  PolicyLossInput,
  PolicyLossMetrics,
  PolicyLossOptions,
} from './algorithms/policy-loss.ts';
export { tokenRows } from './algorithms/primitives.ts';
export type { TokenRows } from './algorithms/primitives.ts';

// Data
export { DEFAULT_KEYS } from './data/row.ts';
export type { Answer, DatasetRow, ImageReference, RowKeys } from './data/row.ts';
export { loadDataset, openDataset } from './data/dataset.ts';
export type { Dataset, DatasetOptions, OpenDataset } from './data/dataset.ts';
export { heldRows } from './data/row-store.ts';
export type { RowStore } from './data/row-store.ts';
export { SampleBuilder } from './data/sample.ts';
export type { PromptSample, SampleOptions } from './data/sample.ts';
export { sampleOptions } from './data/sample-options.ts';
export type { SampleSettings } from './data/sample-options.ts';
export { Tokenizer } from './text/tokenizer.ts';
export { demoPaths, writeDemo } from './demo/write.ts';
export type { DemoOptions, DemoPaths } from './demo/write.ts';

// Models
export { loadCheckpoint, saveCheckpoint } from './model/checkpoint/checkpoint.ts';
export type { LoadedCheckpoint } from './model/checkpoint/checkpoint.ts';
export { Arena } from './model/weights/arena.ts';
export type { ArenaLayout } from './model/weights/arena-layout.ts';
export type { Adapter, AdapterSpec } from './model/adapters/adapter.ts';
export { adapterBase, loadAdapter, saveAdapter } from './model/checkpoint/adapter-files.ts';
export { mergeCheckpoint } from './model/checkpoint/merge-checkpoint.ts';
export { Policy } from './model/policy.ts';
export type { NetworkOptions } from './model/network.ts';
export type { PackedBatch } from './model/batch.ts';
export { packPrompts, packSequences } from './model/pack.ts';
export type { PromptInput, SequenceInput } from './model/pack.ts';
export type { ModelConfig } from './model/model-config.ts';
export { readSafetensors, writeSafetensors } from './model/checkpoint/safetensors.ts';
export { AdamW } from './optim/adamw.ts';
export type { AdamWOptions, AdamWState } from './optim/adamw.ts';
export { clipFactor } from './optim/clip.ts';
export { GenerationEngine } from './generation/engine.ts';
export type {
  EngineOptions,
  GenerateControl,
  GenerationRequest,
  Response,
} from './generation/request.ts';
export type { Sampling } from './generation/sampler.ts';

// Devices
export { openDevice } from './device/open.ts';
export type { DeviceOptions } from './device/open.ts';
export type {
  BoundProgram,
  Device,
  HostMemory,
  Operations,
  Program,
  View,
  Views,
  Workspace,
} from './device/device.ts';

// Graphs and tensors
export { GraphBuilder } from './graph/builder.ts';
export { differentiate } from './graph/backward.ts';
export type { DifferentiateOptions } from './graph/backward.ts';
export type { ForwardAndBackward } from './graph/partition.ts';
export type { Dim, Graph, Node, Value } from './graph/ir.ts';
export { checkGraph } from './graph/check.ts';
export { encode } from './graph/encode.ts';
export { interpret } from './graph/interpret.ts';
export { print } from './graph/print.ts';
export type { Target } from './graph/target.ts';
export { bf16ToNumber, bytesPerElement, numberToBf16 } from './tensor/dtype.ts';
export type { DType, FloatDType, TypedArrays } from './tensor/dtype.ts';
export { numbersOf } from './tensor/numbers.ts';
export { reshaped, rows, sizeOf, tensorOf, zeros } from './tensor/tensor.ts';
export type { Grid, PatchLevels, PixelValues } from './tensor/patch-levels.ts';
export { patchValues } from './tensor/patch-levels.ts';
export type { Tensor } from './tensor/tensor.ts';
export { keyOf, Rng } from './rng.ts';
export type { RngState } from './rng.ts';
