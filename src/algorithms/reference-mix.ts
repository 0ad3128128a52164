/**
 * Moves a reference's weights towards the policy's, in place: `ref ← α · policy + (1 - α) · ref`.
 *
 * Each new weight is rounded once, to f32; PyTorch may round the product before too. At `α` 1 the reference becomes the
 * policy, which TR-DPO calls the hard update.
 *
 * @param reference f32, the weights that move
 * @param policy    f32, as many
 * @param alpha     α, in [0, 1]
 * @see Gorbatovski et al., TR-DPO, arXiv:2404.09656; TRL's `sync_ref_model`
 */
export function mixWeights(reference: Float32Array, policy: Float32Array, alpha: number): void {
  const [ofPolicy, ofReference] = [Math.fround(alpha), Math.fround(1 - alpha)];
  for (let i = 0; i < reference.length; i++) {
    reference[i] = ofPolicy * policy[i]! + ofReference * reference[i]!;
  }
}
