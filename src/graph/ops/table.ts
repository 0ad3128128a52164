/** The table of all ops. A new family joins here. */
import type { Node } from '../ir.ts';
import { attention, type AttentionAttributes } from './attention/attention.ts';
import { cachedAttention, type CachedAttentionAttributes } from './attention/cached-attention.ts';
import { draw, type DrawAttributes } from './draw.ts';
import { elementwise, type ElementwiseAttributes } from './elementwise.ts';
import { grouped, type GroupedAttributes } from './grouped/grouped.ts';
import { indexing, type IndexingAttributes } from './indexing.ts';
import { linalg, type LinalgAttributes } from './linalg.ts';
import { movement, type MovementAttributes } from './movement.ts';
import { norm, type NormAttributes } from './norm.ts';
import type { Op, OpFamily } from './op.ts';
import { order, type OrderAttributes } from './order.ts';
import { packedAttention, type PackedAttentionAttributes } from './attention/packed-attention.ts';
import { reduce, type ReductionAttributes } from './reduce.ts';
import { routing, type RoutingAttributes } from './grouped/routing.ts';
import { tokenEntropies, type TokenEntropiesAttributes } from './token-entropies.ts';
import { tokenLogProbs, type TokenLogProbsAttributes } from './token-log-probs.ts';

/** The attributes of every op, by its name. */
export interface OpAttributes
  extends
    ElementwiseAttributes,
    LinalgAttributes,
    GroupedAttributes,
    ReductionAttributes,
    MovementAttributes,
    IndexingAttributes,
    OrderAttributes,
    RoutingAttributes,
    NormAttributes,
    AttentionAttributes,
    PackedAttentionAttributes,
    CachedAttentionAttributes,
    DrawAttributes,
    TokenLogProbsAttributes,
    TokenEntropiesAttributes {}

/** The name of an op. */
export type OpName = keyof OpAttributes;

/** Every op. The compiler refuses a name without rules, and rules without a name. */
export const ops: OpFamily<OpAttributes> = {
  ...elementwise,
  ...linalg,
  ...grouped,
  ...reduce,
  ...movement,
  ...indexing,
  ...order,
  ...routing,
  ...norm,
  ...attention,
  ...packedAttention,
  ...cachedAttention,
  ...draw,
  ...tokenLogProbs,
  ...tokenEntropies,
};

/** The rules of a node's op. The builder made the node, so its attributes are of the op's type. */
export function opOf(node: Node | OpName): Op<unknown> {
  return ops[typeof node === 'string' ? node : node.op];
}
