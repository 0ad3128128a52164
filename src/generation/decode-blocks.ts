import { encode } from '../graph/encode.ts';
import type { Graph } from '../graph/ir.ts';
import { NO_ADAPTERS } from '../model/adapter.ts';
import type { TextConfig } from '../model/qwen2-5-vl/config.ts';
import {
  decodeAttendGraph,
  decodeProjectGraph,
  distributionGraph,
  type DecodeForm,
} from '../model/qwen2-5-vl/decode.ts';
import type { WeightViews } from '../model/qwen2-5-vl/weights.ts';
import type { Binding } from '../ort/binding.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Session } from '../ort/session.ts';
import { reshaped, type Tensor } from '../tensor/tensor.ts';

/** The blocks of a decoding step, weights bound, everything else yet to be. */
export interface BoundBlocks {
  /** One of each layer: up to queries, keys and values. */
  readonly project: readonly Binding[];
  /** One of each layer: from attention on. */
  readonly attend: readonly Binding[];
  readonly distribution: Binding;
}

/** The blocks of a decoding step in one form, compiled when first asked for. */
export class DecodeBlocks implements Disposable {
  readonly #runtime: Runtime;
  readonly #config: TextConfig;
  readonly #form: DecodeForm;
  readonly #weights: WeightViews;
  readonly #logitBias: Tensor<'f32'>;
  readonly #opened: (Session | Binding)[] = [];
  #bound: BoundBlocks | undefined;

  constructor(
    runtime: Runtime,
    config: TextConfig,
    form: DecodeForm,
    weights: WeightViews,
    logitBias: Tensor<'f32'>,
  ) {
    this.#runtime = runtime;
    this.#config = config;
    this.#form = form;
    this.#weights = weights;
    this.#logitBias = logitBias;
  }

  open(): BoundBlocks {
    return (this.#bound ??= this.#make());
  }

  #make(): BoundBlocks {
    const { layers, head } = this.#weights;
    const distribution = this.#compile(distributionGraph(this.#config, this.#form));
    const bindAll = (sessions: readonly Session[]): Binding[] =>
      layers.map((weights, layer) => this.#bind(sessions[layer]!, weights));
    return {
      project: bindAll(this.#compileLayers(decodeProjectGraph)),
      attend: bindAll(this.#compileLayers(decodeAttendGraph)),
      distribution: this.#bind(distribution, { ...head, logitBias: this.#logitBias }),
    };
  }

  /** The session of each layer; those whose adapters are alike share one. */
  #compileLayers(graphOf: typeof decodeProjectGraph): Session[] {
    const sessions = new Map<string, Session>();
    return this.#weights.layers.map((_, layer) => {
      const adapters = this.#weights.adapters?.layers[layer] ?? NO_ADAPTERS;
      const key = adapters.modules.join();
      const session =
        sessions.get(key) ?? this.#compile(graphOf(this.#config, this.#form, adapters));
      sessions.set(key, session);
      return session;
    });
  }

  #compile(graph: Graph): Session {
    const session = this.#runtime.compile(encode(graph), { name: graph.name });
    this.#opened.push(session);
    return session;
  }

  /** A binding of those weights that the graph takes, vectors as columns where it takes columns. */
  #bind(session: Session, weights: Readonly<Record<string, Tensor<'f32'>>>): Binding {
    const binding = session.bind();
    this.#opened.push(binding);
    for (const { name, shape } of session.inputs) {
      const weight = weights[name];
      if (weight === undefined) continue;
      const isColumn = shape.length > weight.shape.length;
      binding.input(name, isColumn ? reshaped(weight, [...weight.shape, 1]) : weight);
    }
    return binding;
  }

  [Symbol.dispose](): void {
    for (const opened of this.#opened.reverse()) opened[Symbol.dispose]();
  }
}
